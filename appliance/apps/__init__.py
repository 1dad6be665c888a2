"""Applications on clusters: what their packages say, whether it is so, what was put where. Pure; no sockets here.

appliance.apps.manifests   documents, as they are sent to a cluster
appliance.apps.kept        what of an application is in a cluster, as the cluster itself remembers it
appliance.apps.verdict     whether an object is what it should be
appliance.apps.drift       what others have changed of it
appliance.apps.smoke       the test by which a version is believed
"""
