raise RuntimeError("helpers are no models")
