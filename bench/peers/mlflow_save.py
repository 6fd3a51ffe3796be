"""Write MLflow's folder of a model. KIND=... MODEL_DIR=... python mlflow_save.py FOLDER"""  # noqa: D415

import os
import sys

import mlflow

if __name__ == "__main__":
    source, goal = os.environ["MODEL_DIR"], sys.argv[1]
    if os.environ.get("KIND") == "sklearn":
        import joblib

        model = joblib.load(f"{source}/model.joblib")
        mlflow.sklearn.save_model(
            model, goal, serialization_format="cloudpickle", pyfunc_predict_fn="predict_proba"
        )
    else:
        import onnx

        mlflow.onnx.save_model(onnx.load(f"{source}/model.onnx"), goal)
