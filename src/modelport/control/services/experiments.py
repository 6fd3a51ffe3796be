"""Experiments, trials and trial components: written down, associated, taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from modelport.control.services.resources import forget, make, rewrite
from modelport.domain.errors import Conflict, Refused
from modelport.domain.experiment import (
    Experiment,
    ExperimentSpec,
    Trial,
    TrialComponent,
    TrialComponentNotes,
    TrialComponentSpec,
    TrialNotes,
    TrialSpec,
    merge_component,
)
from modelport.domain.resource import Kind
from modelport.stores.records.records import Records
from modelport.stores.records.run_metrics import RunMetricIndex
from modelport.stores.records.transaction import Transaction

ASSOCIATIONS_MAX = 1_000
"""Of one trial, and of one component: each association writes the lists of both anew."""


class Experiments:
    """Reads and writes experiments and what they are made of.

    Args:
        records: Where they are kept.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    def create(self, spec: ExperimentSpec, *, principal: str) -> Experiment:
        """Write down an experiment.

        Raises:
            Conflict: The name is taken.
        """
        with self._records.transaction(principal=principal) as tx:
            return make(tx, Kind.EXPERIMENT, spec.experiment_name, spec)

    def create_trial(self, spec: TrialSpec, *, principal: str) -> Trial:
        """Write down a trial of an experiment.

        Raises:
            NotFound: There is no such experiment.
            Conflict: The name is taken.
        """
        with self._records.transaction(principal=principal) as tx:
            owner: Experiment = tx.get(Kind.EXPERIMENT, spec.experiment_name)
            return make(tx, Kind.TRIAL, spec.trial_name, spec, notes=TrialNotes(), parent=owner.name)

    def create_component(self, spec: TrialComponentSpec, *, principal: str) -> TrialComponent:
        """Write down a trial component; it belongs to no trial yet.

        Raises:
            Conflict: The name is taken.
        """
        with self._records.transaction(principal=principal) as tx:
            name = spec.trial_component_name
            return make(tx, Kind.TRIAL_COMPONENT, name, spec, notes=TrialComponentNotes())

    def experiment(self, name: str) -> Experiment:
        """Return an experiment.

        Raises:
            NotFound: There is none of that name.
        """
        with self._records.reading() as tx:
            return tx.get(Kind.EXPERIMENT, name)

    def trial(self, name: str) -> Trial:
        """Return a trial.

        Raises:
            NotFound: There is none of that name.
        """
        with self._records.reading() as tx:
            return tx.get(Kind.TRIAL, name)

    def component(self, name: str) -> TrialComponent:
        """Return a trial component.

        Raises:
            NotFound: There is none of that name.
        """
        with self._records.reading() as tx:
            return tx.get(Kind.TRIAL_COMPONENT, name)

    def experiments(self) -> list[Experiment]:
        """Return all experiments, by name."""
        with self._records.reading() as tx:
            return tx.all(Kind.EXPERIMENT)

    def trials(self, *, experiment: str | None = None, component: str | None = None) -> list[Trial]:
        """Return trials.

        Args:
            experiment: Only those of this experiment.
            component: Only those that this trial component is associated with.

        Raises:
            NotFound: There is no such experiment or trial component.
        """
        with self._records.reading() as tx:
            if experiment is not None:
                tx.get(Kind.EXPERIMENT, experiment)
            if component is None:
                return tx.all(Kind.TRIAL, parent=experiment)
            of_component: TrialComponent = tx.get(Kind.TRIAL_COMPONENT, component)
            found: list[Trial] = [tx.get(Kind.TRIAL, name) for name in of_component.modelport.trials]
        return [trial for trial in found if experiment in (None, trial.parent)]

    def components(self, *, experiment: str | None = None, trial: str | None = None) -> list[TrialComponent]:
        """Return trial components.

        Args:
            experiment: Only those of this experiment's trials.
            trial: Only those of this trial.

        Raises:
            NotFound: There is no such experiment or trial.
        """
        with self._records.reading() as tx:
            if experiment is None and trial is None:
                return tx.all(Kind.TRIAL_COMPONENT)
            trials: list[Trial] = [] if trial is None else [tx.get(Kind.TRIAL, trial)]
            if experiment is not None:
                tx.get(Kind.EXPERIMENT, experiment)
                trials += tx.all(Kind.TRIAL, parent=experiment)
            names = dict.fromkeys(name for one in trials for name in one.modelport.components)
            return [tx.get(Kind.TRIAL_COMPONENT, name) for name in names]

    def update(self, name: str, change: Mapping[str, Any], *, principal: str) -> Experiment:
        """Write down other members of an experiment.

        Args:
            name: Its name.
            change: In SageMaker's spelling; what it does not name stays.
            principal: Who asks.

        Raises:
            NotFound: There is none of that name.
        """
        with self._records.transaction(principal=principal) as tx:
            found: Experiment = tx.get(Kind.EXPERIMENT, name)
            spec = replace(found.spec, request={**found.spec.request, **change})
            return rewrite(tx, found, spec, ", ".join(change))

    def update_trial(self, name: str, change: Mapping[str, Any], *, principal: str) -> Trial:
        """Write down other members of a trial, as `update` does.

        Raises:
            NotFound: There is none of that name.
        """
        with self._records.transaction(principal=principal) as tx:
            found: Trial = tx.get(Kind.TRIAL, name)
            spec = replace(found.spec, request={**found.spec.request, **change})
            return rewrite(tx, found, spec, ", ".join(change))

    def update_component(
        self,
        name: str,
        change: Mapping[str, Any],
        *,
        remove: Mapping[str, Sequence[str]],
        start: datetime | None = None,
        end: datetime | None = None,
        principal: str,
    ) -> TrialComponent:
        """Write down other members of a trial component.

        Args:
            name: Its name.
            change: In SageMaker's spelling; maps are merged with those there.
            remove: Keys to take out of its maps.
            start: When it started; None: as it was.
            end: When it ended; None: as it was.
            principal: Who asks.

        Raises:
            NotFound: There is none of that name.
            InvalidInput: A map would have too many members.
        """
        with self._records.transaction(principal=principal) as tx:
            found: TrialComponent = tx.get(Kind.TRIAL_COMPONENT, name)
            spec = replace(
                found.spec,
                start_time=start or found.spec.start_time,
                end_time=end or found.spec.end_time,
                request=merge_component(found.spec.request, change, remove),
            )
            return rewrite(tx, found, spec, ", ".join(change))

    def associate(self, component: str, trial: str, *, principal: str) -> None:
        """Make a trial component part of a trial; nothing happens when it is.

        Raises:
            NotFound: One of them is not there.
            Refused: One of them has too many associations.
        """
        with self._records.transaction(principal=principal) as tx:
            part, whole = _both(tx, component, trial)
            if trial in part.modelport.trials:
                return
            trials = (*part.modelport.trials, trial)
            components = (*whole.modelport.components, component)
            if max(len(trials), len(components)) > ASSOCIATIONS_MAX:
                raise Refused(
                    f"trial {trial!r} or trial component {component!r} has {ASSOCIATIONS_MAX} associations",
                    hint="disassociate some first",
                )
            _associate(tx, part, trials, whole, components)
            tx.event("associate", Kind.TRIAL_COMPONENT, component, f"with trial {trial}")

    def disassociate(self, component: str, trial: str, *, principal: str) -> None:
        """Take a trial component out of a trial; nothing happens when it is no part of it.

        Raises:
            NotFound: One of them is not there.
        """
        with self._records.transaction(principal=principal) as tx:
            part, whole = _both(tx, component, trial)
            if trial not in part.modelport.trials:
                return
            trials = tuple(name for name in part.modelport.trials if name != trial)
            components = tuple(name for name in whole.modelport.components if name != component)
            _associate(tx, part, trials, whole, components)
            tx.event("disassociate", Kind.TRIAL_COMPONENT, component, f"from trial {trial}")

    def delete(self, name: str, *, principal: str) -> None:
        """Delete an experiment that has no trials.

        Raises:
            NotFound: There is none of that name.
            Conflict: It has trials.
        """
        with self._records.transaction(principal=principal) as tx:
            found = tx.get(Kind.EXPERIMENT, name)
            trials = [trial.name for trial in tx.all(Kind.TRIAL, parent=name)]
            _check_free(f"experiment {name!r} has", "trial", trials, "delete them first")
            forget(tx, found.kind, found.name)

    def delete_trial(self, name: str, *, principal: str) -> None:
        """Delete a trial that no component is associated with.

        Raises:
            NotFound: There is none of that name.
            Conflict: Components are associated with it.
        """
        with self._records.transaction(principal=principal) as tx:
            found: Trial = tx.get(Kind.TRIAL, name)
            held = found.modelport.components
            _check_free(f"trial {name!r} has", "trial component", held, "disassociate them first")
            forget(tx, found.kind, found.name)

    def delete_component(self, name: str, *, principal: str) -> None:
        """Delete a trial component that belongs to no trial, and its metrics.

        Raises:
            NotFound: There is none of that name.
            Conflict: It is associated with a trial.
        """
        with self._records.transaction(principal=principal) as tx:
            found: TrialComponent = tx.get(Kind.TRIAL_COMPONENT, name)
            trials = found.modelport.trials
            told = f"trial component {name!r} is associated with"
            _check_free(told, "trial", trials, "disassociate it first")
            RunMetricIndex(tx).forget(name)
            forget(tx, found.kind, found.name)


def _both(tx: Transaction, component: str, trial: str) -> tuple[TrialComponent, Trial]:
    return tx.get(Kind.TRIAL_COMPONENT, component), tx.get(Kind.TRIAL, trial)


def _associate(
    tx: Transaction,
    part: TrialComponent,
    trials: tuple[str, ...],
    whole: Trial,
    components: tuple[str, ...],
) -> None:
    """Write both sides: each is asked for what belongs to it."""
    tx.put(replace(part, modelport=TrialComponentNotes(trials)))
    tx.put(replace(whole, modelport=TrialNotes(components)))


def _check_free(told: str, noun: str, held: Sequence[str], hint: str) -> None:
    if held:
        count = f"{len(held)} {noun}{'s' if len(held) > 1 else ''}"
        raise Conflict(f"{told} {count}, {held[0]!r} for example, expected none", hint=hint)
