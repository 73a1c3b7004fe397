"""The Pod security standard `restricted`, wherever a template leaves the choice open. Pure.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def restrict(spec: dict[str, Any]) -> None:
    """Complete the security contexts of a PodSpec, in place. What the template states stands, also where it is laxer."""
    if (spec.get("os") or {}).get("name") == "windows":
        return  # which knows none of these, and the API server refuses them there
    pod = spec["securityContext"] = dict(spec.get("securityContext") or {})
    pod.setdefault("seccompProfile", {"type": "RuntimeDefault"})
    for container in (*(spec.get("initContainers") or ()), *spec["containers"]):
        container["securityContext"] = _restricted(container.get("securityContext") or {}, pod)


def _restricted(stated: Mapping[str, Any], pod: Mapping[str, Any]) -> dict[str, Any]:
    context = dict(stated)
    # On the container: on the Pod it would also bind another container for which the template states root.
    if "runAsNonRoot" not in pod and context.get("runAsUser", pod.get("runAsUser")) != 0:
        context.setdefault("runAsNonRoot", True)
    if context.get("privileged"):
        return context  # a privileged container has all capabilities, and the API server refuses to limit it
    capabilities = context["capabilities"] = dict(context.get("capabilities") or {})
    capabilities.setdefault("drop", ["ALL"])
    if not {"SYS_ADMIN", "CAP_SYS_ADMIN"} & set(capabilities.get("add") or ()):
        context.setdefault("allowPrivilegeEscalation", False)
    return context
