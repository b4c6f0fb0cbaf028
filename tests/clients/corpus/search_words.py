"""What people type: words, phrases, and the signs of the query syntaxes."""

from __future__ import annotations

from tests.clients.corpus.search_page_shapes import RED_LAMP, match, multi, page, string
from tests.clients.requests import SAME_SET, UNTOUCHED, WIDENED

MATCHES = (
    page("match, short form", WIDENED, RED_LAMP),
    page("match, one word", WIDENED, match("waterproof")),
    page("match, a question", WIDENED, match("which light is good for late reading?")),
    page("match in the title", WIDENED, match("garden chair", field="title")),
    page("match with a boost", WIDENED, match("steel kettle", boost=2.5)),
    page("match with a spelling mistake allowed", WIDENED, match("kettel", fuzziness="AUTO")),
    page("match, fuzzy with a prefix", WIDENED, match("raod", fuzziness=2, prefix_length=1)),
    page("match, all words", SAME_SET, match("red lamp light", operator="and")),
    page("match, two words at least", SAME_SET, match("red wood foot", minimum_should_match=2)),
    page("match, share of words", SAME_SET, match("red wood foot", minimum_should_match="60%")),
    page("match, words that nobody has", WIDENED, match("helicopter")),
    page("match in a keyword", UNTOUCHED, match("shoes", field="category")),
    page("match in a keyword below a text", UNTOUCHED, match("Red desk lamp", field="title.raw")),
    page("match in a number", UNTOUCHED, {"match": {"price": 10.5}}),
    page("match in _id", UNTOUCHED, match("p07", field="_id")),
    page("match with nothing typed", UNTOUCHED, match("")),
    page("multi_match, best field", WIDENED, multi("red lamp", fields=["title^3", "text"])),
    page("multi_match with a tie breaker", WIDENED, multi("city bike", tie_breaker=0.3)),
    page("multi_match, most fields", WIDENED, multi("light tent", type="most_fields")),
    page("multi_match, cross fields", WIDENED, multi("garden wood", type="cross_fields")),
    page(
        "multi_match, all words over the fields",
        SAME_SET,
        multi("garden wood", type="cross_fields", operator="and"),
    ),
    page("multi_match as a phrase", SAME_SET, multi("warm light", type="phrase")),
    page("multi_match as a phrase prefix", UNTOUCHED, multi("warm li", type="phrase_prefix")),
    page("multi_match while typing", UNTOUCHED, multi("warm li", type="bool_prefix")),
    page("multi_match, fuzzy", WIDENED, multi("gardn chiar", fuzziness="AUTO")),
    page("multi_match in fields by pattern", UNTOUCHED, multi("lamp", fields=["ti*"])),
    page("multi_match with a keyword", WIDENED, multi("lamps", fields=["text", "category"])),
    page("multi_match in every field", WIDENED, {"multi_match": {"query": "red lamp"}}),
)

MORE_MATCHES = (
    page("match with an analyzer", WIDENED, match("RED Lamps", analyzer="standard")),
    page("match, everything if nothing is left", UNTOUCHED, match("the", zero_terms_query="all")),
    page("match, only words that everybody has", WIDENED, match("the and of a")),
    page("match of another script", WIDENED, match("\u8d64\u3044 lamp \U0001f98a")),
    page("match of quotes and backslashes", WIDENED, match('"red" \\ lamp {"a": 1}')),
    page("match of a template's syntax", WIDENED, match("${body} red ${x:-y} {{lamp}}")),
    # The engine fills this one in before the service sees it: the plain answer stands.
    page("match of a connector's placeholder", UNTOUCHED, match("${parameters.source} lamp")),
    page("match of a whole page of text", UNTOUCHED, match("red lamp " * 500)),
    page("match by a field alias", UNTOUCHED, match("lamp", field="name")),
    page("match in a nested field from outside", UNTOUCHED, match("buy", field="reviews.comment")),
    page(
        "match while typing",
        UNTOUCHED,
        multi("red des", fields=["typed", "typed._2gram", "typed._3gram"], type="bool_prefix"),
    ),
    page("match in two fields at once", UNTOUCHED, {"match": {"title": "red", "text": "red"}}),
    page(
        "query_string by a default field",
        WIDENED,
        {"query_string": {"query": "red lamp", "default_field": "text"}},
    ),
    page("query_string, lenient", WIDENED, string("red lamp", lenient=True)),
    page(
        "query_string in fields with boosts",
        WIDENED,
        {"query_string": {"query": "red lamp", "fields": ["title^4", "text"], "tie_breaker": 0.1}},
    ),
    page("simple_query_string, or", WIDENED, string("tent | kettle", kind="simple_query_string")),
    page(
        "simple_query_string, flags",
        UNTOUCHED,
        string("red +lamp", kind="simple_query_string", flags="OR|AND"),
    ),
)

PHRASES = (
    page("match_phrase in the text", SAME_SET, {"match_phrase": {"text": "late reading"}}),
    page(
        "match_phrase with slop",
        SAME_SET,
        {"match_phrase": {"text": {"query": "light reading", "slop": 4}}},
    ),
    page("match_phrase_prefix", UNTOUCHED, {"match_phrase_prefix": {"text": "late rea"}}),
    page("match_bool_prefix", UNTOUCHED, {"match_bool_prefix": {"title": "red des"}}),
)

STRINGS = (
    page("query_string, words", WIDENED, string("red lamp")),
    page("query_string, OR", WIDENED, string("tent OR kettle")),
    page("query_string, every word", SAME_SET, string("red lamp", default_operator="AND")),
    page("query_string, a phrase", SAME_SET, string('"warm light" lamp')),
    page("query_string, plus and minus", SAME_SET, string("+light -tent shoes")),
    page("query_string, AND", SAME_SET, string("red AND lamp")),
    page("query_string, NOT", SAME_SET, string("light NOT tent")),
    page("query_string, a field", UNTOUCHED, string("title:lamp red")),
    page("query_string, wildcard", UNTOUCHED, string("la?p ket*")),
    page("query_string, fuzzy", UNTOUCHED, string("lanp~1")),
    page("query_string, boost", UNTOUCHED, string("red^2 lamp")),
    page("query_string, range", UNTOUCHED, string("price:[10 TO 60]")),
    page("query_string, regular expression", UNTOUCHED, string("/la[mn]p/")),
    page("query_string, parentheses", UNTOUCHED, string("(red OR blue) AND lamp")),
    page("query_string that does not parse", UNTOUCHED, string('"warm light AND (', lenient=True)),
    page("simple_query_string, words", WIDENED, string("red lamp", kind="simple_query_string")),
    page(
        "simple_query_string, plus and minus",
        SAME_SET,
        string("light + -tent", kind="simple_query_string"),
    ),
    page(
        "simple_query_string, a phrase",
        SAME_SET,
        string('"late reading"', kind="simple_query_string"),
    ),
    page(
        "simple_query_string, every word",
        SAME_SET,
        string("red lamp", kind="simple_query_string", default_operator="and"),
    ),
    page("simple_query_string, prefix", UNTOUCHED, string("ket*", kind="simple_query_string")),
    page(
        "simple_query_string, parentheses",
        UNTOUCHED,
        string("(red | blue) + lamp", kind="simple_query_string"),
    ),
)

REQUESTS = (*MATCHES, *MORE_MATCHES, *PHRASES, *STRINGS)
