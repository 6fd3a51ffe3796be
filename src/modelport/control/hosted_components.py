"""Inference components: their models are hosted as wished for, and their records say how it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from modelport.control.guests import Guests, Look
from modelport.control.ownership import Ownership
from modelport.control.snapshot import Snapshot
from modelport.domain.clock import Clock
from modelport.domain.inference_component import ComponentNotes, ComponentStatus, InferenceComponent
from modelport.domain.planning import components
from modelport.domain.planning.endpoint import Observed
from modelport.domain.planning.hosting import Outlook
from modelport.domain.planning.routes import Place, places_in, source_of
from modelport.domain.routes import Hosting
from modelport.durable import crash_point

SETBACKS_MAX = 3
"""Times a component's model may be lost by workers before it is Failed: it may kill them."""


class HostedComponents:
    """The inference components.

    Args:
        guests: Judges models.
        ownership: Which components this process may write back.
        clock: Time.
    """

    def __init__(self, guests: Guests, ownership: Ownership, clock: Clock) -> None:
        self._guests = guests
        self._ownership = ownership
        self._clock = clock

    def look_at(
        self,
        place: Place,
        hosting: Hosting,
        wished: Sequence[InferenceComponent],
        snapshot: Snapshot,
        observed: Observed,
        look: Look,
    ) -> None:
        """See what a place is to host, and do what that needs.

        Args:
            place: The place.
            hosting: What it hosts now.
            wished: The components that are to be there.
            snapshot: The records.
            observed: What is so.
            look: Takes what is found.
        """
        served = {model.name: model for model in hosting.models if model.digest not in observed.broken}
        there = {name: model for name, model in served.items() if name in snapshot.damaged_components}
        for component in wished:
            outlook = self._judge(component, snapshot, observed, look)
            look.outlooks[component.name] = outlook
            serving = served.get(component.name)
            if outlook.run is not None and (serving is None or serving.replicas != outlook.run.names):
                look.runs.append(outlook.run)
            now_or_then = outlook.route or serving
            if now_or_then is not None:
                there[component.name] = now_or_then
        look.hosted[place] = tuple(there[name] for name in sorted(there))

    def settle(self, snapshot: Snapshot, observed: Observed, look: Look) -> bool:
        """Write back the components whose wish has come true, or will not; return whether there was one."""
        served = {
            (place, model.name): model
            for route in observed.active.endpoints
            for place, _, hosting in places_in(route)
            for model in hosting.models
        }
        changed = False
        for component in snapshot.components():
            there = served.get(components.key_of(component))
            if component.modelport.deleting:
                if there is None and not observed.lagging and self._ownership.hold(component):
                    crash_point("component.before_remove")
                    changed |= self._ownership.remove(component, "gone")
                    self._forget_archive(component)
                continue
            settled = components.settle(
                component,
                self._outlook_of(component, snapshot, look),
                None if there is None or there.digest in observed.broken else there,
                everywhere=observed.everywhere,
                now=self._clock.now(),
            )
            if settled is not None and self._ownership.hold(component):
                crash_point("component.before_settle")
                status = settled.status
                told = status.failure_reason or f"InService with {status.current_copy_count} copies"
                settled = replace(settled, modelport=self._notes_of(component, snapshot))
                changed |= self._ownership.write_back(settled, told)
                self._forget_archive(component)
                if status.failure_reason is not None:
                    self._guests.clear_setback(components.key_of(component))  # a new wish tries anew
        return changed

    def _judge(
        self, component: InferenceComponent, snapshot: Snapshot, observed: Observed, look: Look
    ) -> Outlook:
        """Return how it stands with a component; nothing where it is Failed: a new wish tries anew."""
        failed = component.status.inference_component_status is ComponentStatus.FAILED
        if component.settled and failed:
            return Outlook()
        key = components.key_of(component)
        if key in look.blamed:
            return Outlook(problem=look.blamed[key])
        setback = self._guests.setback(key)
        if setback is not None and setback.times >= SETBACKS_MAX:
            return Outlook(problem=f"{setback.reason}, {setback.times} times")
        model = snapshot.model(component.spec.model_name or "")
        if component.settled and model is not None and source_of(model) != component.modelport.source:
            model = None  # another one of its name
        guest = components.guest_of(component, model)
        if guest is None:
            return Outlook(problem=f"model {component.spec.model_name!r} does not exist any more")
        return self._guests.judge(guest, observed)

    def _outlook_of(self, component: InferenceComponent, snapshot: Snapshot, look: Look) -> Outlook:
        """Return how it stands with a component, also where its place is gone."""
        spec, endpoint = component.spec, snapshot.endpoint(component.spec.endpoint_name)
        if components.key_of(component).place in look.places:
            return look.outlooks.get(component.name, Outlook())
        if endpoint is None and spec.endpoint_name not in snapshot.damaged:
            return Outlook(problem=f"endpoint {spec.endpoint_name!r} does not exist")
        if endpoint is None or not endpoint.settled:
            return Outlook()  # it does not serve yet, or nobody can tell
        return Outlook(
            problem=f"endpoint {spec.endpoint_name!r} serves no variant {spec.variant_name!r} for components"
        )

    def _notes_of(self, component: InferenceComponent, snapshot: Snapshot) -> ComponentNotes:
        """Return what is known of what a component serves."""
        notes = component.modelport
        if component.spec.container is None:
            model = snapshot.model(component.spec.model_name or "")
            return notes if model is None else replace(notes, source=source_of(model))
        guest = components.guest_of(component, None)
        found = None if guest is None else self._guests.found_in(guest)
        return notes if found is None else replace(notes, step=found)

    def _forget_archive(self, component: InferenceComponent) -> None:
        """Let the container of a component be looked into again: its notes have what was found."""
        guest = components.guest_of(component, None)
        if guest is not None:
            self._guests.forget_archive(guest)
