"""Watches."""

from ..steps import TABLE, Conversation, create, delete, get, patch, put, watch

CM = "configmaps/a"
A = "{metadata: {labels: {x: '1'}}, data: {n: a}}"
START = create("configmaps/start", "{}", save={"version": "metadata.resourceVersion"})
MINE = {"labelSelector": "x"}
FROM = "resourceVersion=$version"

CONVERSATIONS = [
    Conversation(
        "watch-from-version",
        [
            START,
            watch(
                f"configmaps?{FROM}",
                3,
                [create(CM, A), patch("merge", CM, "{data: {n: b}}"), delete(CM)],
                MINE,
            ),
            watch(f"configmaps?{FROM}", 3, (), MINE),
            watch(f"configmaps/a?{FROM}", 3),
            watch(f"configmaps?{FROM}", 3, (), {"fieldSelector": "metadata.name=a"}),
        ],
    ),
    Conversation("watch-initial", [START, create(CM, A), watch("configmaps", 1, (), MINE)]),
    Conversation(
        "watch-selected",
        [
            START,
            watch(
                f"configmaps?{FROM}",
                4,
                [
                    create(CM, A),
                    patch("merge", CM, "{metadata: {labels: {x: '2'}}}"),
                    patch("merge", CM, "{metadata: {labels: {x: '1'}}}"),
                    delete(CM),
                ],
                {"labelSelector": "x=1"},
            ),
        ],
    ),
    Conversation(
        "watch-list",
        [
            create(CM, A),
            watch(
                "configmaps",
                2,
                (),
                {
                    **MINE,
                    "sendInitialEvents": "true",
                    "resourceVersionMatch": "NotOlderThan",
                    "allowWatchBookmarks": "true",
                },
            ),
            get("configmaps", {"watch": "true", "sendInitialEvents": "true"}),
            get("configmaps", {"sendInitialEvents": "true"}),
        ],
    ),
    Conversation(
        "watch-table",
        [START, watch(f"configmaps?{FROM}", 2, [create(CM, A), delete(CM)], MINE, accept=TABLE)],
    ),
    Conversation(
        "watch-finalizer",
        [
            START,
            watch(
                f"configmaps?{FROM}",
                3,
                [
                    create(CM, "{metadata: {labels: {x: '1'}, finalizers: [example.org/a]}}"),
                    delete(CM),
                    put(CM, "{metadata: {labels: {x: '1'}}}"),
                ],
                MINE,
            ),
        ],
    ),
    Conversation(
        "watch-refused",
        [
            get("configmaps", {"watch": "true", "resourceVersion": "x"}),
            get("configmaps", {"watch": "true", "labelSelector": "x in ("}),
            get("secrets", {"watch": "true"}, user="reader"),
            get("/api/v1/gizmos", {"watch": "true"}),
        ],
    ),
]
