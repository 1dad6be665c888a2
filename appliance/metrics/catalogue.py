"""Every metric that there is. docs/guide/monitoring.md has the same table; base units, and no label per machine."""

from appliance.metrics.model import Metric, MetricKind

_MINUTES = (60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 36000.0, 86400.0)
_STEPS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0)
_DISK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_LAG = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
_CALLS = (0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


def _metric(
    name: str, kind: MetricKind, text: str, labels: tuple[str, ...] = (), bounds: tuple[float, ...] = ()
) -> Metric:
    return Metric(name=f"innervate_{name}", kind=kind, help=text, labels=labels, bounds=bounds)


BUILD = _metric("build", MetricKind.INFO, "The appliance's version.", ("version",))
START = _metric("start_timestamp_seconds", MetricKind.GAUGE, "When the daemon began, since the epoch.")
MEMORY = _metric("resident_memory_bytes", MetricKind.GAUGE, "Memory of the daemon.")
NODES = _metric("nodes", MetricKind.GAUGE, "Machines in each state, as screens show it.", ("state",))
ABOVE = _metric(
    "nodes_above_sla", MetricKind.GAUGE, "Machines that are longer in a phase than is meant for it.", ("phase",)
)
STAYS = _metric(
    "node_time_in_state_seconds", MetricKind.HISTOGRAM, "How long a phase lasted, when it ended.", ("phase",), _MINUTES
)
STEPS = _metric(
    "step_duration_seconds",
    MetricKind.HISTOGRAM,
    "From the begin of an attempt to its end.",
    ("step", "result"),
    _STEPS,
)
RUNS = _metric("runs", MetricKind.GAUGE, "Runs in each state; paused ones are not among the running.", ("state",))
RECORDS = _metric("records", MetricKind.COUNTER, "Entries of the record log, over all its life.")
COMMIT = _metric("db_commit_seconds", MetricKind.HISTOGRAM, "Until a group of records was on the disk.", bounds=_DISK)
LAG = _metric(
    "event_lag_seconds", MetricKind.HISTOGRAM, "From the time of an entry until it was taken in.", bounds=_LAG
)
DHCP_PACKETS = _metric("dhcp_packets", MetricKind.COUNTER, "What became of DHCP packets.", ("type",))
DHCP_DROPPED = _metric("dhcp_dropped", MetricKind.COUNTER, "DHCP packets that hit a limit.", ("reason",))
DHCP_LEASES = _metric("dhcp_leases", MetricKind.GAUGE, "Leases that have not run out.", ("state",))
POOL_FREE = _metric("dhcp_pool_free_ratio", MetricKind.GAUGE, "Free share of an address pool.", ("pool",))
TFTP = _metric("tftp_transfers", MetricKind.COUNTER, "Ended TFTP transfers and refused requests.", ("result",))
TFTP_AGAIN = _metric("tftp_retransmits", MetricKind.COUNTER, "Times that TFTP data was sent again.")
TFTP_BYTES = _metric("tftp_sent_bytes", MetricKind.COUNTER, "Bytes that TFTP clients confirmed.")
HTTP = _metric("http_responses", MetricKind.COUNTER, "Responses of boot HTTP.", ("code",))
HTTP_BYTES = _metric("http_sent_bytes", MetricKind.COUNTER, "Body bytes that boot HTTP sent.")
SCRIPTS = _metric("boot_scripts", MetricKind.COUNTER, "Boot scripts handed out.")
BMC = _metric("bmc_requests", MetricKind.COUNTER, "Orders to BMCs that ended.", ("proto", "result"))
BMC_TIME = _metric(
    "bmc_latency_seconds", MetricKind.HISTOGRAM, "From an order to a BMC to its answer.", ("proto",), _CALLS
)
DISK_FREE = _metric("disk_free_bytes", MetricKind.GAUGE, "Free space where the appliance writes.", ("path",))
EXPIRY = _metric(
    "cert_expiry_timestamp_seconds", MetricKind.GAUGE, "When a certificate of ours ends, since the epoch.", ("name",)
)
WEBHOOKS = _metric("webhook_tries", MetricKind.COUNTER, "Tries to send an event to a webhook.", ("hook", "result"))
WEBHOOKS_LOST = _metric(
    "webhook_given_up", MetricKind.COUNTER, "Events that a webhook's receiver did not take in time.", ("hook",)
)
SYSLOG = _metric("syslog_messages", MetricKind.COUNTER, "Messages for the syslog collector.", ("result",))
CLUSTER_UP = _metric(
    "cluster_api_up", MetricKind.GAUGE, "1 where a cluster's API says that it is ready, 0 where not.", ("cluster",)
)
CLUSTER_WANTED = _metric(
    "cluster_nodes_wanted", MetricKind.GAUGE, "Machines that joined a cluster and have not left it.", ("cluster",)
)
CLUSTER_READY = _metric(
    "cluster_nodes_ready", MetricKind.GAUGE, "Those of them that the cluster says are ready.", ("cluster",)
)
CLUSTER_REFUSED = _metric(
    "cluster_requests_refused",
    MetricKind.COUNTER,
    "Requests for certificates and returns of removed nodes that were refused, over all time.",
    ("cluster",),
)
CLUSTER_EXPIRY = _metric(
    "cluster_access_expiry_timestamp_seconds",
    MetricKind.GAUGE,
    "When the certificate ends by which the appliance enters a cluster, since the epoch.",
    ("cluster",),
)

CATALOGUE = (
    BUILD,
    START,
    MEMORY,
    NODES,
    ABOVE,
    STAYS,
    STEPS,
    RUNS,
    RECORDS,
    COMMIT,
    LAG,
    DHCP_PACKETS,
    DHCP_DROPPED,
    DHCP_LEASES,
    POOL_FREE,
    TFTP,
    TFTP_AGAIN,
    TFTP_BYTES,
    HTTP,
    HTTP_BYTES,
    SCRIPTS,
    BMC,
    BMC_TIME,
    DISK_FREE,
    EXPIRY,
    WEBHOOKS,
    WEBHOOKS_LOST,
    SYSLOG,
    CLUSTER_UP,
    CLUSTER_WANTED,
    CLUSTER_READY,
    CLUSTER_REFUSED,
    CLUSTER_EXPIRY,
)
