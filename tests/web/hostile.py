"""What hardware, networks and people could write where a page shows it."""

from itertools import product

_SCRIPTS = (
    "window.pwned=1",
    "window.pwned=1//",
    "document.title='pwned';window.pwned=1",
)
_SHAPES = (
    "<script>{}</script>",
    "</script><script>{}</script>",
    "<img src=x onerror={}>",
    "\"><img src=x onerror='{}'>",
    "'><svg onload={}>",
    "<svg><script>{}</script></svg>",
    "</text></svg><script>{}</script>",
    "</title><script>{}</script>",
    "</textarea><script>{}</script>",
    "<iframe srcdoc='<script>{}</script>'>",
    '<a href="javascript:{}">x</a>',
    "javascript:{}",
    '" onmouseover="{}',
    "' autofocus onfocus='{}",
    "<details open ontoggle={}>",
    "<body onload={}>",
    "<math><mtext></mtext><script>{}</script></math>",
    "<!--><script>{}</script>-->",
    "{{{{ {} }}}}",
    "{{% if 1 %}}<script>{}</script>{{% endif %}}",
    "<style>@import '//x';</style><script>{}</script>",
    "<meta http-equiv=refresh content='0;url=javascript:{}'>",
    '<object data="javascript:{}">',
    '<form action="javascript:{}"><button>x</button></form>',
    '<link rel=stylesheet href="javascript:{}">',
    '<base href="//evil.example/"><script>{}</script>',
    "\u2028<script>{}</script>",
    "\x00<script>{}</script>",
    "<scr\x00ipt>{}</script>",
    "%3Cscript%3E{}%3C/script%3E",
    "&lt;script&gt;{}&lt;/script&gt;",
    '"}}]}}\n\nevent: message\ndata: <script>{}</script>\n\n',
    '\ndata: {{"parts": {{"main": "<script>{}</script>"}}}}\n\n',
    '<button formaction="javascript:{}">x</button>',
)
_TERMINAL = (
    "\x1b]0;pwned\x07",
    "\x1b[2J\x1b[H",
    "\x1b]8;;http://evil\x1b\\x\x1b]8;;\x1b\\",
    "\x9b31mred",
    "\x1bP+q544e\x1b\\",
    "a\rb",
    "\u202egnp.exe",
    "\x08\x08\x08ok",
)

STRINGS: tuple[str, ...] = (
    *(shape.format(script) for shape, script in product(_SHAPES, _SCRIPTS)),
    *(f"{shape.format(script).upper()}" for shape, script in product(_SHAPES, _SCRIPTS[:1])),
    *(f"{escape}{shape.format(_SCRIPTS[0])}" for escape, shape in product(_TERMINAL, _SHAPES[:8])),
    *_TERMINAL,
)
