"""A doctor in memory for tests of the API and its clients."""

from dataclasses import dataclass, field, replace

from appliance.model.doctor import Check, DoctorRequest, DoctorView, Finding, ranked


@dataclass(kw_only=True)
class FakeDoctor:
    """An examination finds `finds`, and is over when it is looked at for the second time."""

    finds: tuple[Finding, ...] = ()
    asked: list[DoctorRequest] = field(default_factory=list)
    view: DoctorView = field(default_factory=DoctorView)

    def start(self, request: DoctorRequest) -> DoctorView:
        self.asked.append(request)
        version = self.view.version + 1
        self.view = DoctorView(running=True, version=version, started=1_800_000_000.0, waiting=tuple(Check))
        return self.view

    def doctor(self) -> DoctorView:
        return self.view

    def standing(self) -> tuple[Finding, ...]:
        return ranked(self.finds)

    async def look(self, seen: int, wait: float) -> DoctorView:
        if self.view.running:
            found = ranked(self.finds)
            self.view = replace(
                self.view,
                running=False,
                version=self.view.version + 1,
                ended=1_800_000_002.0,
                waiting=(),
                findings=found,
            )
        return self.view
