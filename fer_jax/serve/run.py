"""Serve: bind the address, load the networks, and answer until a signal comes."""

import numpy as np

from fer_jax import fer2013
from fer_jax.inference.analyzer import Analyzer, make_analyzer
from fer_jax.report import terminal
from fer_jax.runtime import cpu
from fer_jax.serve.answers import Model
from fer_jax.serve.app import make_app
from fer_jax.serve.options import DEMO, ServeOptions
from fer_jax.serve.photos import Limits
from fer_jax.serve.server import EVERY_ADDRESS, listen, name_address, run_server


def serve(options: ServeOptions) -> int:
    """Serve until a signal comes, answer what is in work, and return the exit status of that signal.

    Raises:
        FerJaxError: the address cannot be used, or the networks or the detector cannot be loaded.
    """
    console = terminal.make_console()
    cpu.return_memory()
    # First, so that an address in use is refused at once.
    with listen(options.host, options.port) as listening:
        with terminal.show_steps(console, "loading the networks", None):
            model = load_model(options)
        demo = options.demo or (DEMO if (DEMO / "index.html").is_file() else None)
        limits = Limits(
            bytes=int(options.max_mb * 1e6),
            pixels=int(options.max_megapixels * 1e6),
            places=options.places,
            upload_seconds=options.upload_seconds,
        )
        app = make_app(model, limits, hosts=list_hosts(options), demo=demo)
        at_home = "the page about the API" if demo is None else f"the demo of {demo}"
        names = ", ".join(weights["name"] for weights in model.weights)
        console.print(f"serving {names} at {name_address(listening)}, {at_home} at /; Ctrl-C ends it")
        return run_server(app, listening)


def list_hosts(options: ServeOptions) -> tuple[str, ...]:
    """List the names of this server besides the local ones.

    The addresses that 0.0.0.0 stands for are not among them: the user says by which of them others may come.
    """
    return (*options.allowed_hosts, *(() if options.host in EVERY_ADDRESS else (options.host,)))


def load_model(options: ServeOptions) -> Model:
    """Load the networks and the detector, and compile what a photo with one face runs.

    Raises:
        FerJaxError: one of them cannot be loaded.
    """
    analyzer = make_analyzer(
        options.weights,
        views=options.views,
        detector=options.detector,
        min_score=options.min_score,
        min_face_px=options.min_face,
        has_small_faces=options.small_faces,
    )
    _warm_up(analyzer)
    return Model(
        labels=analyzer.labels,
        weights=analyzer.weights,
        settings={
            "views": options.views,
            "detector": options.detector,
            "min_score": options.min_score,
            "min_face": options.min_face,
            "small_faces": options.small_faces,
        },
        contract=analyzer.contract.version,
        analyze=lambda image: analyzer.analyze([image])[0],
    )


def _warm_up(analyzer: Analyzer) -> None:
    blank = np.zeros((*fer2013.IMAGE_SHAPE[:2], 3), np.uint8)
    analyzer.analyze([blank])
    whole = Analyzer(analyzer.classifiers, None, analyzer.views, analyzer.contract)
    whole.analyze([blank])
