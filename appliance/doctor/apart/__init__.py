"""Programs that run in a process of their own, because scapy is under the GPL and the daemon is not, and because what
they take apart comes from a wire that anybody may use. Nobody imports them; what they say is in
`appliance.doctor.sighting`.
"""
