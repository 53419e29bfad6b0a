from dagster_models.execution.runners.on_ray.bridge import main

if __name__ == "__main__":
    main()
