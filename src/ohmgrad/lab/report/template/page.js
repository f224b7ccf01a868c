"use strict";

/** The library that draws, out of its packed form. */
async function unpack() {
  const letters = atob(document.getElementById("library").textContent.trim());
  const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A colour #rrggbb or #rrggbbaa on a dark page: a third of the way to white. */
const brighter = (hex) => hex.replace(/[0-9a-f]{2}/gi, (part, at) =>
  at > 5 ? part : Math.round((2 * parseInt(part, 16) + 255) / 3).toString(16).padStart(2, "0"));

/** A figure in the colours of the page; on a dark page, ink is light and the others are brighter. */
function dressed({ data, layout }) {
  const ink = colour("--ink"), quiet = colour("--quiet"), grid = colour("--grid");
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const axis = { color: quiet, gridcolor: grid, linecolor: grid, zeroline: false, automargin: true };
  const inked = (trace) => {
    const shade = (hex) => trace.meta.ink ? ink + hex.slice(7) : dark ? brighter(hex) : hex;
    return {
      ...trace,
      ...(trace.line && { line: { ...trace.line, color: shade(trace.line.color) } }),
      ...(trace.marker && { marker: { ...trace.marker, color: shade(trace.marker.color) } }),
      ...(trace.fillcolor && { fillcolor: shade(trace.fillcolor) }),
    };
  };
  return [data.map(inked), {
    ...layout,
    title: { ...layout.title, x: 0, xanchor: "left", font: { size: 15, color: ink } },
    xaxis: { ...axis, ...layout.xaxis },
    yaxis: { ...axis, ...layout.yaxis },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", color: ink },
    legend: { orientation: "h", xref: "container", x: 0, xanchor: "left", yref: "container", y: 0, yanchor: "bottom" },
    hoverlabel: { namelength: -1 },
    hovermode: "closest", margin: { l: 10, r: 10, t: 40, b: 10 }, height: 420,
    uirevision: "kept",
  }];
}

const places = [...document.querySelectorAll(".figure")];
const figures = places.map((place) => JSON.parse(place.querySelector("script").textContent));

async function draw() {
  for (const [k, place] of places.entries()) {
    await Plotly.react(place, ...dressed(figures[k]), { responsive: true, displaylogo: false });
  }
}

async function begin() {
  try {
    await unpack();
    await draw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    document.body.dataset.drawn = "yes";
  } catch (error) {
    for (const place of places) place.textContent = `The curves could not be drawn: ${error}`;
    throw error;
  }
}

if (places.length) begin();
