"""An endpoint: predictions, labels, routing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from modelport.domain.errors import InvalidInput, ModelportError, NotFound
from modelport.sdk.resources import Described
from modelport.sdk.transport import quote
from modelport.sdk.waiting import wait_for

if TYPE_CHECKING:
    from modelport.domain.signature import Signature
    from modelport.evaluation.capacity import LoadPoint
    from modelport.sdk.benching import BenchReport
    from modelport.sdk.replies import Answer, Reply
    from modelport.sdk.versions import ModelVersion

LABELS_PER_REQUEST = 10_000
TARGET_VARIANT = "X-Amzn-SageMaker-Target-Variant"
INFERENCE_ID = "X-Amzn-SageMaker-Inference-Id"


class Endpoint(Described):
    """A name that answers predictions, and the variants behind it."""

    @property
    def status(self) -> str:
        """Return Creating, Updating, RollingBack, InService, Failed or Deleting, as last heard."""
        return str(self.status_document.get("endpoint_status", "Creating"))

    @property
    def failure_reason(self) -> str | None:
        """Return why it is Failed, or why its last update was rolled back; None otherwise."""
        return self.status_document.get("failure_reason")

    @property
    def variants(self) -> dict[str, float]:
        """Return variant name to relative weight, as it is served now."""
        found = self.status_document.get("production_variants") or ()
        return {variant["variant_name"]: float(variant["current_weight"]) for variant in found}

    @property
    def invocation_url(self) -> str:
        """Return where applications send rows."""
        return f"{self.client.inference_url}/endpoints/{quote(self.name)}/invocations"

    def refresh(self, *, wait_s: float = 0.0) -> Endpoint:
        """Ask the server again.

        Args:
            wait_s: Seconds to wait, at most, until the newest wish is settled.
        """
        self.document = self.client.control.ask("GET", self._path, params={"wait_s": wait_s or None})
        return self

    def log(self) -> str:
        """Return the ends of the logs of its replicas of custom code; nothing where it has none."""
        return self.client.control.send("GET", f"{self._path}/log").text

    def config(self) -> dict[str, Any]:
        """Return the config it serves, or is about to: variants, shadows, capture."""
        name = self.status_document.get("endpoint_config_name") or self.spec["endpoint_config_name"]
        document = self.client.control.ask("GET", f"/api/v1/endpoint-configs/{quote(name)}")
        return dict(document["spec"])

    def version(self, variant: str | None = None) -> ModelVersion:
        """Return the version behind a variant.

        Args:
            variant: Its name; None: the one with the largest weight.

        Raises:
            NotFound: There is no such variant, or it holds inference components.
        """
        variants = self.config()["production_variants"]
        if variant is None:
            weights = self.variants
            chosen = max(variants, key=lambda item: weights.get(item["variant_name"], 0.0))
        else:
            chosen = next((item for item in variants if item["variant_name"] == variant), None)
            if chosen is None:
                known = ", ".join(item["variant_name"] for item in variants)
                raise NotFound(f"{self.name} has no variant {variant!r}", hint=f"its variants: {known}")
        if not chosen["model_name"]:
            raise NotFound(
                f"variant {chosen['variant_name']!r} of {self.name} has no version: it holds inference "
                "components",
                hint="aws sagemaker list-inference-components tells what they serve",
            )
        model = self.client.control.ask("GET", f"/api/v1/models/{quote(chosen['model_name'])}")
        return self.client.version(model["modelport"]["model_version"])

    def signature(self) -> Signature:
        """Return what the model behind it takes and gives; with several, the one with most traffic."""
        return self.version().signature()

    def predict(self, rows: Any, *, variant: str | None = None, inference_id: str | None = None) -> Reply:
        """Predict.

        Args:
            rows: A DataFrame with the training columns in any order; an array `[rows, features]`; an Arrow
                table; a list of dicts or lists; or one dict.
            variant: Ask this variant, whatever the weights.
            inference_id: Prediction id of the request, when the rows fit into one; None: the server's.

        Returns:
            A `Reply`: predictions, probabilities, ids, `to_frame()`. Large inputs are sent in pieces to one
            variant.

        Raises:
            InvalidInput: A row does not fit the model's signature; names row and feature.
            NotFound: There is no such endpoint.
        """
        from modelport.sdk import replies
        from modelport.sdk import rows as rows_of_user

        answers = []
        sent = 0
        for body in rows_of_user.encode_rows(rows):
            if inference_id is not None and sent:
                raise InvalidInput(
                    f"the rows need more than one request; {sent} fit into the first",
                    hint="leave inference_id out, or predict in pieces of your own",
                )
            try:
                answer = self.invoke(
                    body.content, body.content_type, variant=variant, inference_id=inference_id
                )
            except InvalidInput as error:
                if error.row is not None:
                    error.row += sent
                raise
            answers.append(answer)
            variant = answer.variant or variant
            sent += body.rows
        return replies.join_answers(answers, rows_of_user.index_of(rows))

    def invoke(
        self,
        content: bytes,
        content_type: str,
        *,
        variant: str | None = None,
        inference_id: str | None = None,
    ) -> Answer:
        """Send one request as it is.

        Args:
            content: The body.
            content_type: For example `application/json`, `text/csv`, `application/jsonlines`.
            variant: Ask this variant, whatever the weights.
            inference_id: Prediction id of the request; None: the server's.

        Returns:
            An `Answer`: the JSON reply and who gave it.

        Raises:
            InvalidInput: A row does not fit the model's signature.
            NotFound: There is no such endpoint.
        """
        import msgspec

        from modelport.sdk import replies

        headers = {"Content-Type": content_type, "Accept": "application/json"}
        if variant is not None:
            headers[TARGET_VARIANT] = variant
        if inference_id is not None:
            headers[INFERENCE_ID] = inference_id
        path = f"/endpoints/{quote(self.name)}/invocations"
        try:
            response = self.client.inference.send("POST", path, content, headers=headers)
        except InvalidInput as error:
            if error.row is None and error.feature is None:
                self._explain_unknown(error, variant)
            raise
        return replies.Answer(
            document=msgspec.json.decode(response.content),
            prediction_id=response.headers.get("x-modelport-prediction-id", ""),
            variant=response.headers.get("x-amzn-invoked-production-variant", ""),
            model_version=response.headers.get("x-modelport-model-version", ""),
        )

    def bench(
        self,
        data: Any = None,
        *,
        rows: int = 1,
        target: float | None = None,
        p99_ms: float | None = None,
        seconds: float = 3.0,
        on_point: Callable[[LoadPoint], None] = lambda _: None,
    ) -> BenchReport:
        """Measure how much it bears: latency at rising loads, and where it stops keeping up.

        Requests leave when they are due, whether or not earlier ones were answered, and latencies count from
        then. It is real load: the endpoint serves others worse meanwhile, and captures what it captures.

        Args:
            data: Rows to send, as for `predict`; None: made up from the signature.
            rows: In each request.
            target: Requests per second it is to carry; tells how many workers that takes.
            p99_ms: Goal for the 99th percentile of latency in milliseconds; None: three times that of the
                lowest load, and 5 ms.
            seconds: Of each load.
            on_point: Called with each load's figures, for progress.

        Returns:
            A `BenchReport`: points, knee, recommendation.

        Raises:
            InvalidInput: A row does not fit the model's signature.
            Unreachable: It cannot be asked any more.
        """
        from modelport.sdk.benching import bench

        return bench(self, data, rows=rows, target=target, p99_ms=p99_ms, seconds=seconds, on_point=on_point)

    def feedback(self, ids: str | Iterable[str], labels: Iterable[Any]) -> dict[str, int]:
        """Tell what the right answers were.

        Args:
            ids: Prediction ids of rows (`reply.ids`), or the id of one request: its rows are then counted.
            labels: The true label or number of each row, in the same order.

        Returns:
            `accepted`, and `doubled`: how many rows had a label before. The last one wins.

        Raises:
            InvalidInput: There are not as many labels as ids, or a label is missing.
        """
        values = [plain_label(label, at) for at, label in enumerate(labels)]
        rows = [f"{ids}#{row}" for row in range(len(values))] if isinstance(ids, str) else list(ids)
        if len(rows) != len(values):
            raise InvalidInput(
                f"found {len(rows)} ids and {len(values)} labels, expected one label for each id"
            )
        total = {"accepted": 0, "doubled": 0}
        for start in range(0, len(rows), LABELS_PER_REQUEST):
            piece = slice(start, start + LABELS_PER_REQUEST)
            pairs = [
                {"id": row, "label": label} for row, label in zip(rows[piece], values[piece], strict=True)
            ]
            answer = self.client.control.ask("POST", f"{self._path}/labels", {"labels": pairs})
            for key in total:
                total[key] += int(answer.get(key, 0))
        return total

    def traffic(self, weights: Mapping[str, float], *, timeout_s: float | None = 60.0) -> Endpoint:
        """Set the variants' relative weights and wait until they hold.

        Args:
            weights: Variant name to weight, at least 0; those left out keep theirs.
            timeout_s: Seconds to wait; None for ever.
        """
        wish = {name: float(weight) for name, weight in weights.items()}
        self.document = self.client.control.ask("PUT", f"{self._path}/weights", wish)
        return self.wait(timeout_s=timeout_s)

    def promote(self, variant: str, *, timeout_s: float | None = 60.0) -> Endpoint:
        """Give all traffic to one variant and wait until it has it.

        Args:
            variant: Its name, for example "v2".
            timeout_s: Seconds to wait; None for ever.
        """
        self.document = self.client.control.ask("POST", f"{self._path}/promote", {"variant": variant})
        return self.wait(timeout_s=timeout_s)

    def rollback(self, *, timeout_s: float | None = 60.0) -> Endpoint:
        """Go back to the config and weights served before, and wait until they are.

        Args:
            timeout_s: Seconds to wait; None for ever.
        """
        self.document = self.client.control.ask("POST", f"{self._path}/rollback", {})
        return self.wait(timeout_s=timeout_s)

    def delete(self, *, timeout_s: float | None = 60.0) -> None:
        """Delete it and wait until it is gone. Its model versions stay.

        Args:
            timeout_s: Seconds to wait; None for ever.
        """
        self.client.control.ask("DELETE", self._path)

        def gone(patience_s: float) -> bool | None:
            try:
                self.refresh(wait_s=patience_s)
            except NotFound:
                return True
            return None

        wait_for(gone, goal=f"{self.name} to be gone", timeout_s=timeout_s, clock=self.client.clock)

    def wait(
        self,
        *,
        timeout_s: float | None = 60.0,
        on_change: Callable[[str], None] | None = None,
    ) -> Endpoint:
        """Wait until the newest wish is served.

        Args:
            timeout_s: Seconds to wait; None for ever.
            on_change: Called with each new status, for progress.

        Raises:
            ModelportError: It failed or was rolled back; the message is the endpoint's failure reason.
            TimedOut: The time is over; the endpoint goes on changing.
        """
        wish = int(self.document.get("generation", 0))
        heard: list[str] = []

        def served(patience_s: float) -> Endpoint | None:
            if heard:
                self.refresh(wait_s=patience_s)
            if on_change is not None and (not heard or heard[-1] != self.status):
                on_change(self.status)
            heard.append(self.status)
            done = int(self.document.get("observed_generation", 0)) >= wish
            return self if done and self.status in ("InService", "Failed") else None

        wait_for(served, goal=f"{self.name} to be InService", timeout_s=timeout_s, clock=self.client.clock)
        if self.status == "Failed" or self.failure_reason:
            what = "is Failed" if self.status == "Failed" else "went back to what it served before"
            raise ModelportError(
                f"{self.name} {what}: {self.failure_reason or 'no reason is on record'}",
                hint=f"see `modelport endpoints {self.name}` and `modelport events --name {self.name}`",
            )
        return self

    @property
    def _path(self) -> str:
        return f"/api/v1/endpoints/{quote(self.name)}"

    def _explain_unknown(self, error: InvalidInput, variant: str | None) -> None:
        """Say NotFound where the inference port, in SageMaker's words, can only say 400."""
        self.refresh()
        if variant is not None and self.variants and variant not in self.variants:
            raise NotFound(
                f"{self.name} has no variant {variant!r}; it has {', '.join(self.variants)}", hint=error.hint
            ) from error


def plain_label(label: Any, at: int) -> Any:
    """Return a label as JSON writes it.

    Args:
        label: A string, number or bool, also numpy's.
        at: Its place, for the message.

    Raises:
        InvalidInput: It is missing or something else.
    """
    value = label.item() if hasattr(label, "item") else label
    if isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise InvalidInput(
        f"label {at} is {label!r}, expected a string, a number or a bool",
        hint="leave rows out whose label is not known yet",
        row=at,
    )
