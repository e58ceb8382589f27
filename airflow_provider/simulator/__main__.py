"""``python -m airflow_provider.simulator``."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from airflow_provider.simulator.assumptions import ASSUMPTIONS


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and serve."""
    arguments = _parser().parse_args(argv)
    if arguments.assumptions:
        for service, lines in ASSUMPTIONS.items():
            print(service, *(f"  - {line}" for line in lines), sep="\n")
        return 0
    missing = [name for name in ("docx", "fpdf", "PIL", "pypdf", "uvicorn") if find_spec(name) is None]
    if missing:
        print(f"simulator: needs {', '.join(missing)}; install the extra 'simulator'", file=sys.stderr)
        return 1
    from airflow_provider.simulator.server import Options, run
    from airflow_provider.simulator.settings import Settings, mediamagic_limits, silent_witness_limits

    settings = Settings(
        rate_limit_headers=arguments.sw_rate_limit_headers,
        retry_after=arguments.sw_retry_after,
        strict_gender=arguments.sw_strict_gender,
        demo_without_evidence=arguments.sw_demo_without_evidence,
        biomechanics_only_needs_evidence=not arguments.sw_biomechanics_only_without_evidence,
        issues_container=arguments.mm_issues_container,
        max_asset_retries=arguments.mm_max_asset_retries,
        max_webhook_subscriptions=arguments.mm_max_webhook_subscriptions,
        http_webhooks_on_loopback=not arguments.mm_https_webhooks_only,
    )
    try:
        if arguments.sw_rate_limit:
            several = arguments.sw_rate_limit
            settings.silent_witness_limits = silent_witness_limits(
                several[0] if len(several) == 1 else several
            )
        if arguments.mm_rate_limit:
            named: dict[str, list[str]] = {}
            for text in arguments.mm_rate_limit:
                bucket, _, limit = text.rpartition("=")
                named.setdefault(bucket or "*", []).append(limit)
            settings.mediamagic_limits = mediamagic_limits(named)
        run(
            Options(
                host=arguments.host,
                port=arguments.port,
                storage_port=arguments.storage_port,
                time_scale=arguments.time_scale,
                data_dir=arguments.data_dir,
                keys=arguments.key,
                log_requests=arguments.log_requests,
                exit_on_stdin_eof=arguments.exit_on_stdin_eof,
            ),
            settings,
        )
    except (OSError, ValueError, OverflowError) as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider.simulator",
        description="MediaMagic and Silent Witness as one local HTTP server.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: loopback only)")
    parser.add_argument("--port", type=int, default=8090, help="port of both APIs; 0 picks a free one")
    parser.add_argument(
        "--storage-port", type=int, default=0, help="port of the storage origin (default: a free one)"
    )
    parser.add_argument("--time-scale", type=float, default=1.0, help="vendor seconds per real second")
    parser.add_argument("--data-dir", type=Path, help="keep uploads and documents here (default: temporary)")
    parser.add_argument(
        "--key", action="append", default=[], metavar="KEY[=STATE]",
        help="a key that exists, with its state (active, expired, revoked, no_plan, forbidden); "
        "its service then accepts no others (repeatable; default: any key with the vendor's prefix)",
    )  # fmt: skip
    parser.add_argument(
        "--sw-rate-limit", action="append", metavar="LIMIT",
        help="Silent Witness: hour (1000/3600, default), minute (100/60), both, off, or COUNT/SECONDS "
        "(repeatable)",
    )  # fmt: skip
    parser.add_argument("--sw-rate-limit-headers", action="store_true", help="send the X-RateLimit-* headers")
    parser.add_argument("--sw-retry-after", action="store_true", help="send Retry-After with a 429")
    parser.add_argument("--sw-strict-gender", action="store_true", help="refuse gender 'other'")
    parser.add_argument("--sw-demo-without-evidence", action="store_true", help="demo data needs no photos")
    parser.add_argument(
        "--sw-biomechanics-only-without-evidence",
        action="store_true",
        help="biomechanics_only needs no photos",
    )
    parser.add_argument(
        "--mm-rate-limit", action="append", metavar="[BUCKET=]COUNT/SECONDS",
        help="MediaMagic: limit one bucket or each (repeatable; default: unlimited)",
    )  # fmt: skip
    parser.add_argument("--mm-issues-container", choices=("array", "object"), default="array")
    parser.add_argument("--mm-max-asset-retries", type=int, default=3)
    parser.add_argument("--mm-max-webhook-subscriptions", type=int, default=10, help="per workspace")
    parser.add_argument(
        "--mm-https-webhooks-only", action="store_true", help="refuse http also for endpoints on loopback"
    )
    parser.add_argument("--log-requests", action="store_true", help="one line per request on stderr")
    parser.add_argument("--exit-on-stdin-eof", action="store_true", help="stop when stdin is closed")
    parser.add_argument("--assumptions", action="store_true", help="list what no documentation says")
    return parser


if __name__ == "__main__":
    sys.exit(main())
