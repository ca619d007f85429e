"""All conversations."""

from . import access, admission, applying, deletion, discovery, kinds, patches, reading, services
from . import validation, watching, writing

MODULES = (
    applying, writing, patches, deletion, reading, watching, validation, admission, services, access,
    discovery, kinds,
)
CONVERSATIONS = [conversation for module in MODULES for conversation in module.CONVERSATIONS]
