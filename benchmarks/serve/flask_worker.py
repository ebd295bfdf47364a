"""The plain server that `fer_jax.serve` is compared with: Flask around `fer`, as a user would write it.

    python flask_worker.py

It runs in the environment of `fer`, so it imports that, Flask, and the standard library. A photo is the body
of a POST; the faces come back as JSON. The first line says where it listens.
"""

import importlib
import threading
from typing import Any


def main() -> None:
    """Load `fer` with its defaults, and serve until a signal comes."""
    cv2 = importlib.import_module("cv2")
    numpy = importlib.import_module("numpy")
    flask = importlib.import_module("flask")
    serving = importlib.import_module("werkzeug.serving")
    program = importlib.import_module("fer.fer").FER()
    app = flask.Flask("plain")
    # OpenCV's cascade fails where two threads use it.
    alone = threading.Lock()

    def predict() -> Any:
        picture = cv2.imdecode(numpy.frombuffer(flask.request.get_data(), numpy.uint8), cv2.IMREAD_COLOR)
        with alone:
            faces = program.detect_emotions(picture)
        return {
            "faces": [
                {"box": [int(length) for length in face["box"]], "emotions": face["emotions"]}
                for face in faces
            ]
        }

    app.add_url_rule("/v1/predict", view_func=predict, methods=["POST"])
    # What `app.run` does, with a port that is free.
    server = serving.make_server("127.0.0.1", 0, app, threaded=True)
    print(f"http://127.0.0.1:{server.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
