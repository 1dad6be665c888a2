"""Applications on container hosts: their units, what of them is on a host, what a host is told. Pure but for `web`.

appliance.hosting.units     units of podman, as a host gets them
appliance.hosting.account   what of an application is on a host, as the host itself remembers it
appliance.hosting.engine    jobs and questions for hosts
appliance.hosting.words     what a host answers
appliance.hosting.verdict   what is thought of it
appliance.hosting.web       the smoke test's one question
"""
