"""The command line: ``ohmgrad compare``, ``tune``, ``sweep``, ``reproduce``, ``devices`` and ``fit``."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

try:
    import typer
except ImportError:
    raise SystemExit("ohmgrad: the command line needs more packages: pip install 'ohmgrad[lab]'") from None

from ohmgrad import __version__
from ohmgrad.amounts import counted
from ohmgrad.errors import OhmgradError
from ohmgrad.lab import compare as comparing
from ohmgrad.lab import console as show
from ohmgrad.lab import tune as tuning
from ohmgrad.lab.settings import RULES, Setting, parse
from ohmgrad.lab.vary import FORMS

app = typer.Typer(
    help="Train neural networks in simulated analog memory.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
devices_app = typer.Typer(rich_markup_mode=None)
app.add_typer(devices_app, name="devices")
DEFAULTS = Setting()
TUNE_TRIALS, SWEEP_TRIALS, SWEEP_SEED = 20, 40, 1


def _option(name: str, text: str, default: Any = None) -> Any:
    """An option whose values are those of the setting of that name."""

    def read(given: str) -> Any:
        try:
            return parse(name, given)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    default = getattr(DEFAULTS, name, None) if default is None else default
    if isinstance(default, tuple):
        default = ",".join(default)
    shown = "as tuned" if default is None else default
    return typer.Option(
        f"--{name.replace('_', '-')}",
        parser=read,
        metavar="VALUE",
        help=f"{text}: {RULES[name].allowed}. Default: {shown}.",
        show_default=False,
    )


Task = Annotated[Any, _option("task", "What is learned")]
Algorithms = Annotated[Any, _option("algorithms", "Who learns it")]
Device = Annotated[Any, _option("device", "Kind of resistive cell")]
States = Annotated[Any, _option("states", "Steps between the bounds of a cell")]
Gamma = Annotated[Any, _option("gamma", "Share of A in the visible weight of the residual rules")]
Epochs = Annotated[Any, _option("epochs", "Passes through the training samples")]
Seeds = Annotated[Any, _option("seeds", "How many seeds")]
BatchSize = Annotated[Any, _option("batch_size", "Samples of a mini-batch")]
Data = Annotated[Any, _option("data", "Where images are, for the tasks mnist, fashion-mnist, cifar10 and cifar100")]
Workers = Annotated[Any, _option("workers", "Runs at the same time", default="one for each core")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what --out holds.")]
GO_ON = ("--resume", "--overwrite")
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what --out holds.")]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(f"ohmgrad {__version__}")
        raise typer.Exit()


@app.command()
def compare(
    task: Task = None,
    algorithms: Algorithms = None,
    device: Device = None,
    states: States = None,
    gamma: Gamma = None,
    epochs: Epochs = None,
    seeds: Seeds = None,
    batch_size: BatchSize = None,
    data: Data = None,
    workers: Workers = None,
    tuned: Annotated[
        Path | None, typer.Option(help="A file that `ohmgrad tune` wrote. Default: the packaged one.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("ohmgrad-compare"),
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Train one network with several algorithms on the same imperfect cells, and show how they differ."""
    from rich.console import Console

    from ohmgrad.lab.plots import draw_comparison
    from ohmgrad.lab.report import report_comparison

    given = _given(
        task=task, algorithms=algorithms, device=device, states=states, gamma=gamma, epochs=epochs, seeds=seeds,
        batch_size=batch_size, data=data,
    )  # fmt: skip
    _require_one(resume, overwrite)
    found = None if tuned is None else tuning.read_tuned(tuned)
    if resume:
        comparison = comparing.Comparison.resume(out, given, found)
    else:
        comparison = comparing.Comparison.start(Setting(**given), found or tuning.recorded(), out, overwrite)
    console = Console()
    jobs = comparison.remaining()
    kept = len(comparison.jobs) - len(jobs)
    try:
        show.follow(jobs, workers or _cores(), comparison.save, console, "comparison", lines=True, kept=kept)
        comparison.write_summary()
        show.show_comparison(comparison, console)
        with console.status("drawing"):
            pictures = {**draw_comparison(comparison), "page": report_comparison(comparison)}
    except KeyboardInterrupt:
        kept = len(comparison.jobs) - len(comparison.remaining())
        comparison.write_summary()
        kept_now = f"{kept} of {len(comparison.jobs)} runs are kept in {out}."
        raise _stopped(console, kept_now, _resumed("compare", out)) from None
    for what, path in pictures.items():
        _say(console, f"{what + ':':<23} {path}")
    _say(console, f"{'numbers:':<23} {out / 'summary.json'} and {out / 'runs'}")


@app.command()
def tune(
    task: Task = None,
    algorithms: Algorithms = None,
    device: Device = None,
    states: States = None,
    epochs: Epochs = None,
    seeds: Seeds = None,
    batch_size: BatchSize = None,
    data: Data = None,
    trials: Annotated[Any, _option("trials", "Trials of every algorithm", default=TUNE_TRIALS)] = None,
    workers: Workers = None,
    out: Annotated[Path, typer.Option(help="File of the outcome, for `ohmgrad compare --tuned`.")] = Path("tuned.json"),
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Search the hyperparameters of every algorithm with one budget, on the training part alone."""
    from rich.console import Console

    given = _given(
        task=task, algorithms=algorithms, device=device, states=states, epochs=epochs, seeds=seeds,
        batch_size=batch_size, data=data,
    )  # fmt: skip
    _require_one(resume, overwrite)
    if resume:
        search = tuning.Search.resume(out, given | _given(trials=trials))
    else:
        search = tuning.Search.start(Setting(**given), trials or TUNE_TRIALS, out, overwrite)
    console = Console()
    try:
        for title, jobs in (("first round", search.first_round), ("second round", search.second_round)):
            show.follow(jobs(), workers or _cores(), _timed(search), console, title, lines=False)
    except KeyboardInterrupt:
        raise _stopped(console, f"The scores so far are kept in {out}.", _resumed("tune", out)) from None
    show.show_search(search, console)
    _say(console, f"all trials: {out}")


@app.command()
def sweep(
    rule: Annotated[
        str, typer.Argument(metavar="RULE", help=f"Whose hyperparameters: {RULES['rule'].allowed}.", show_default=False)
    ] = "",
    task: Task = None,
    device: Device = None,
    states: States = None,
    epochs: Epochs = None,
    seeds: Seeds = None,
    batch_size: BatchSize = None,
    data: Data = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(help=f"What is searched beside or instead of the usual: {FORMS}. May be given several times."),
    ] = None,
    trials: Annotated[Any, _option("trials", "Proposals in total", default=SWEEP_TRIALS)] = None,
    seed: Annotated[Any, _option("seed", "Seed of the proposals", default=SWEEP_SEED)] = None,
    workers: Workers = None,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("ohmgrad-sweep"),
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Search the hyperparameters of one rule; each proposal learns from the scores of those before."""
    from rich.console import Console

    from ohmgrad.lab.plots import draw_sweep
    from ohmgrad.lab.report import report_sweep
    from ohmgrad.lab.sweep.console import show_sweep
    from ohmgrad.lab.sweep.search import Sweep

    given = _given(
        task=task, device=device, states=states, epochs=epochs, seeds=seeds, batch_size=batch_size, data=data
    )
    _require_one(resume, overwrite)
    try:
        named = _given(rule=parse("rule", rule) if rule or not resume else None)
    except ValueError as error:
        raise typer.BadParameter(f"RULE: {error}") from None
    if resume:
        more = _given(vary=tuple(vary) if vary else None, trials=trials, seed=seed)
        search = Sweep.resume(out, given | named | more)
    else:
        setting, first = Setting(algorithms=(named["rule"],), **given), SWEEP_SEED if seed is None else seed
        search = Sweep.start(setting, vary or (), trials or SWEEP_TRIALS, first, out, overwrite)
    console, processes = Console(), workers or _cores()
    try:
        kept = len(search.trials)
        show.follow(search.first_round(), processes, search.keep_proposal, console, "proposals", lines=False, kept=kept)
        show.follow(search.second_round(), processes, search.keep, console, "finalists", lines=False)
        show.follow(search.last_round(), processes, search.keep, console, "test", lines=False)
    except KeyboardInterrupt:
        kept_now = f"{len(search.trials)} of {search.wanted} proposals are kept in {out}."
        raise _stopped(console, kept_now, _resumed("sweep", out)) from None
    show_sweep(search, console)
    with console.status("drawing"):
        written = {"numbers": search.write_results(), **draw_sweep(search), "page": report_sweep(search)}
    _list_written(written, console)


@app.command()
def reproduce(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Which result; without a name, all are listed.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="A small version that ends in a minute.")] = False,
    workers: Workers = None,
    out: Annotated[Path, typer.Option(help="Folder of the results, one below it for each name.")] = Path(
        "ohmgrad-reproduce"
    ),
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Compute a published result again, and show it beside the numbers of the paper."""
    from rich.console import Console

    from ohmgrad.lab.plots import draw_reproduction
    from ohmgrad.lab.report import report_reproduction
    from ohmgrad.lab.studies import console as show_study
    from ohmgrad.lab.studies import find_study
    from ohmgrad.lab.studies.reproduction import Reproduction

    console = Console()
    if not name:
        show_study.show_studies(console)
        return
    _require_one(resume, overwrite)
    study = find_study(name)
    folder = out / (f"{study.name}-quick" if quick else study.name)
    reproduction = Reproduction.start(study, quick, folder, resume, overwrite)
    trials, processes = reproduction.remaining(), workers or _cores()
    show_study.introduce(study, console)
    if not quick and trials:
        minutes = study.core_minutes * len(trials) / len(reproduction.trials) / processes
        took, cores = counted(max(1, round(minutes)), "minute"), counted(processes, "core")
        console.print(f"This takes about {took} on {cores}.", highlight=False)
    kept = len(reproduction.trials) - len(trials)
    try:
        show.follow(trials, processes, reproduction.save, console, study.name, lines=False, kept=kept)
    except KeyboardInterrupt:
        kept = len(reproduction.trials) - len(reproduction.remaining())
        kept_now = f"{kept} of {len(reproduction.trials)} trials are kept in {folder}."
        raise _stopped(console, kept_now, _again(context)) from None
    show_study.show_reproduction(reproduction, console)
    with console.status("drawing"):
        written = {"numbers": reproduction.write_results(), "picture": draw_reproduction(reproduction)}
        written["page"] = report_reproduction(reproduction)
    _list_written(written, console)


@devices_app.callback(invoke_without_command=True)
def devices(context: typer.Context) -> None:
    """List the devices and the configurations that come with the package, or show one."""
    if context.invoked_subcommand is None:
        from rich.console import Console

        from ohmgrad.lab.device_tables import show_devices

        show_devices(Console())


@devices_app.command(name="show")
def show_one(
    name: Annotated[str, typer.Argument(help="A class, a measured device, a configuration, or your module:Class.")],
    cells: Annotated[Any, _option("cells", "Sampled cells that are drawn", default=5)] = 5,
    out: Annotated[Path, typer.Option(help="Folder of the picture.")] = Path("ohmgrad-devices"),
) -> None:
    """Print the parameters of a device, and draw how its cells answer to pulses."""
    from rich.console import Console

    from ohmgrad.lab.catalogue import find
    from ohmgrad.lab.device_tables import show_device
    from ohmgrad.lab.plots import draw_device

    entry, console = find(name), Console()
    show_device(entry, console)
    with console.status("sending pulses and drawing"):
        path = draw_device(entry, cells, out)
    _say(console, f"picture: {path}")


@app.command()
def fit(
    file: Annotated[Path, typer.Argument(help="CSV with conductance and direction of each pulse, cell if several.")],
    device: Annotated[str, typer.Option(help="A name as of `ohmgrad devices show`.")] = "SoftBoundsDevice",
    vary: Annotated[str | None, typer.Option(help="Fields to find, as in dw_min,w_max. Default: as known.")] = None,
    method: Annotated[str, typer.Option(help="steps or trajectory (errors of reading dominate).")] = "steps",
    g_min: Annotated[float | None, typer.Option(help="Conductance of the weight -1. Default: the least.")] = None,
    g_max: Annotated[float | None, typer.Option(help="Conductance of the weight 1. Default: the greatest.")] = None,
    scale: Annotated[float | None, typer.Option(help="Instead: conductance of a weight of 1, above --offset.")] = None,
    offset: Annotated[float | None, typer.Option(help="Conductance of the weight 0. Default: 0.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of numbers and picture.")] = Path("ohmgrad-fit"),
) -> None:
    """Find the parameters of a device from measured pulses, with their uncertainties."""
    from rich.console import Console

    from ohmgrad.lab.fit_tables import fit_file, show_fit, write_fit

    console = Console()
    fields = None if vary is None else [name.strip() for name in vary.split(",")]
    with console.status("fitting"):
        found = fit_file(file, device, fields, method, g_min=g_min, g_max=g_max, scale=scale, offset=offset)
    show_fit(found, console)
    with console.status("drawing"):
        written = write_fit(found, file, out)
    _list_written(written, console)
    _say(console, f"{'python:':<9}{found.line}")


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _resumed(command: str, out: Path) -> str:
    """The command that goes on with what a folder or a file holds."""
    return f"ohmgrad {command} --resume --out {shlex.quote(str(out))}"


def _again(context: typer.Context) -> str:
    """The command that goes on with what this one began."""
    return shlex.join(["ohmgrad", *(word for word in context.obj if word not in GO_ON), "--resume"])


def _stopped(console: Any, kept: str, again: str) -> typer.Exit:
    """Say what a stop leaves and how to go on; gives the end of the command."""
    _say(console, f"Stopped. {kept} Go on with: {again}")
    return typer.Exit(130)


def _list_written(written: dict[str, Path], console: Any) -> None:
    for what, path in written.items():
        _say(console, f"{what + ':':<9}{path}")


def _say(console: Any, line: str) -> None:
    """Print a line with a path or a command as it is: what is in brackets is no markup, and nothing is broken."""
    console.out(line, highlight=False)


def _timed(search: tuning.Search) -> Callable[[Any, dict[str, Any]], None]:
    """Keep records in a search and count the time that passes between them."""
    last = time.perf_counter()

    def keep(job: Any, record: dict[str, Any]) -> None:
        nonlocal last
        now = time.perf_counter()
        search.save(job, record, now - last)
        last = now

    return keep


def _require_one(resume: bool, overwrite: bool) -> None:
    if resume and overwrite:
        raise typer.BadParameter("give --resume or --overwrite, not both.")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; a mistake of the user gives one line on standard error and exit code 2."""
    command, arguments = typer.main.get_command(app), sys.argv[1:] if arguments is None else arguments
    try:
        return int(command.main(arguments, prog_name="ohmgrad", standalone_mode=False, obj=arguments) or 0)
    except (KeyboardInterrupt, typer.Abort):
        print("Stopped.", file=sys.stderr)
        return 130
    except OhmgradError as error:
        return _mistake(str(error))
    except OSError as error:
        return _mistake(f"{error.strerror or error}: {error.filename or ''}")
    except Exception as error:
        # typer's own complaints about options; what class they have depends on its version
        if not hasattr(error, "format_message"):
            raise
        message = error.format_message()
        return _mistake(message if "give" in message else f"{message} See: ohmgrad --help or ohmgrad COMMAND --help.")


def _mistake(message: str) -> int:
    print(f"ohmgrad: {' '.join(message.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
