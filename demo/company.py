"""The made-up company of the demo: Skycast sells a weather API to eight customers."""

from dataclasses import dataclass, field
from typing import Any

SELLER = "Skycast"
PASSWORD = "skycast-demo-2026"  # noqa: S105  # printed for whoever tries the demo
STAFF_EMAIL = "staff@skycast.example"
EVENT_TYPE = "api.request"

METERS: list[dict[str, Any]] = [
    {
        "key": "api_calls",
        "name": "API calls",
        "unit": "calls",
        "event_type": EVENT_TYPE,
        "aggregation": "count",
        "filters": [{"property": "status", "op": "lt", "value": "500"}],
        "group_by": ["endpoint", "method"],
    },
    {
        "key": "data_out",
        "name": "Data out",
        "unit": "bytes",
        "event_type": EVENT_TYPE,
        "aggregation": "sum",
        "value_property": "bytes",
        "group_by": ["endpoint"],
    },
    {
        "key": "active_users",
        "name": "Monthly active users",
        "unit": "users",
        "event_type": EVENT_TYPE,
        "aggregation": "unique_count",
        "value_property": "user_id",
    },
    {
        "key": "peak_hour",
        "name": "Busiest hour",
        "unit": "calls per hour",
        "event_type": EVENT_TYPE,
        "aggregation": "peak",
        "window": "hour",
        "of": "count",
    },
    {
        "key": "largest_batch",
        "name": "Largest batch",
        "unit": "locations",
        "event_type": EVENT_TYPE,
        "aggregation": "max",
        "value_property": "locations",
    },
]

HOBBY: list[dict[str, Any]] = [
    {"key": "base", "name": "Hobby plan", "model": "flat", "amount": "9"},
    {
        "key": "calls",
        "name": "API calls",
        "meter": "api_calls",
        "model": "graduated",
        "tiers": [
            {"up_to": "1000", "unit_amount": "0"},
            {"up_to": "5000", "unit_amount": "0.004"},
            {"up_to": None, "unit_amount": "0.0025"},
        ],
    },
]
TEAM: list[dict[str, Any]] = [
    {"key": "base", "name": "Team plan", "model": "flat", "amount": "49"},
    {
        "key": "calls",
        "name": "API calls",
        "meter": "api_calls",
        "model": "graduated",
        "tiers": [
            {"up_to": "5000", "unit_amount": "0"},
            {"up_to": "20000", "unit_amount": "0.0028"},
            {"up_to": None, "unit_amount": "0.0019"},
        ],
    },
    {
        "key": "data",
        "name": "Data out",
        "meter": "data_out",
        "model": "package",
        "size": "10",
        "amount": "1.5",
        "unit_conversion": {"divide_by": "1000000", "round": "up"},
    },
]
BUSINESS: list[dict[str, Any]] = [
    {"key": "base", "name": "Business plan", "model": "flat", "amount": "290"},
    {
        "key": "calls",
        "name": "API calls",
        "meter": "api_calls",
        "model": "volume",
        "tiers": [
            {"up_to": "20000", "unit_amount": "0.0021"},
            {"up_to": "60000", "unit_amount": "0.0016"},
            {"up_to": None, "unit_amount": "0.0012"},
        ],
    },
    {
        "key": "users",
        "name": "Monthly active users",
        "meter": "active_users",
        "model": "per_unit",
        "unit_amount": "0.15",
        "free_units": "250",
    },
    {
        "key": "peak",
        "name": "High watermark: busiest hour",
        "meter": "peak_hour",
        "model": "graduated",
        "tiers": [
            {"up_to": "40", "unit_amount": "0"},
            {"up_to": None, "unit_amount": "0.35"},
        ],
    },
]

DAY_OF_GRACE = 24
# Helios checks each month's usage before it may be invoiced, so it always has a draft.
MONTH_OF_GRACE = 24 * 30

PLANS: list[dict[str, Any]] = [
    {"key": "hobby", "name": "Hobby", "prices": HOBBY, "grace_hours": DAY_OF_GRACE},
    {"key": "team", "name": "Team", "prices": TEAM, "grace_hours": DAY_OF_GRACE},
    {"key": "business", "name": "Business", "prices": BUSINESS, "grace_hours": DAY_OF_GRACE},
    {
        "key": "business-reviewed",
        "name": "Business, reviewed",
        "prices": BUSINESS,
        "grace_hours": MONTH_OF_GRACE,
    },
]

OFFICE = (1, 1, 1, 1, 1, 2, 4, 9, 14, 16, 15, 13, 12, 14, 15, 14, 12, 8, 5, 4, 3, 2, 2, 1)
RUSH_HOURS = (1, 1, 1, 1, 3, 9, 20, 26, 16, 8, 7, 8, 9, 8, 8, 11, 20, 25, 16, 9, 6, 4, 3, 2)
DAWN = (2, 2, 3, 6, 14, 22, 18, 10, 6, 4, 3, 3, 3, 3, 3, 4, 6, 8, 6, 4, 3, 2, 2, 2)
ALWAYS = (9, 9, 8, 8, 8, 9, 10, 11, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 11, 11, 10, 10, 9, 9)


@dataclass(frozen=True, slots=True)
class Spike:
    """A few days on which something drives the calls up."""

    months_ago: int
    first_day: int
    days: int
    factor: int


@dataclass(frozen=True, slots=True)
class Company:
    """A customer of the demo: how much it calls, when, and how it pays."""

    key: str
    name: str
    plan: str
    time_zone: str
    country: str
    calls_a_day: int
    users: int
    rhythm: tuple[int, ...] = OFFICE
    weekend_percent: int = 45
    growth_percent: int = 4
    locale: str = "en"
    city: str = ""
    spike: Spike | None = None
    left_months_ago: int | None = None
    endpoints: dict[str, int] = field(default_factory=dict)


COMPANIES = [
    Company(
        key="helios-energy",
        name="Helios Energy",
        plan="business-reviewed",
        time_zone="Europe/Berlin",
        country="DE",
        city="Hamburg",
        calls_a_day=1100,
        users=900,
        rhythm=ALWAYS,
        weekend_percent=96,
        growth_percent=5,
        endpoints={"/v1/forecast/hourly": 60, "/v1/history/{date}": 18, "/v1/batch": 14},
    ),
    Company(
        key="raincheck",
        name="RainCheck Insurance",
        plan="business",
        time_zone="America/New_York",
        country="US",
        city="Hartford",
        calls_a_day=420,
        users=1600,
        spike=Spike(months_ago=1, first_day=11, days=4, factor=7),
        endpoints={"/v1/history/{date}": 46, "/v1/current": 22, "/v1/alerts": 20},
    ),
    Company(
        key="citybus",
        name="CityBus Transit",
        plan="team",
        time_zone="Europe/London",
        country="GB",
        city="Leeds",
        calls_a_day=330,
        users=240,
        rhythm=RUSH_HOURS,
        weekend_percent=60,
    ),
    Company(
        key="hayabusa",
        name="Hayabusa Drone Logistics",
        plan="team",
        time_zone="Asia/Tokyo",
        country="JP",
        city="Yokohama",
        calls_a_day=260,
        users=85,
        growth_percent=12,
        endpoints={"/v1/forecast/hourly": 40, "/v1/batch": 30, "/v1/tiles/{z}/{x}/{y}": 20},
    ),
    Company(
        key="orchard-robotics",
        name="Orchard Robotics",
        plan="team",
        time_zone="America/Los_Angeles",
        country="US",
        city="Fresno",
        calls_a_day=140,
        users=30,
        rhythm=DAWN,
        weekend_percent=85,
        growth_percent=-22,
        left_months_ago=2,
    ),
    Company(
        key="northwind",
        name="Northwind Sailing Club",
        plan="hobby",
        time_zone="Europe/Lisbon",
        country="PT",
        city="Cascais",
        calls_a_day=70,
        users=120,
        rhythm=DAWN,
        weekend_percent=260,
        growth_percent=-3,
    ),
    Company(
        key="trailhead",
        name="Trailhead Maps",
        plan="hobby",
        time_zone="America/Denver",
        country="US",
        city="Boulder",
        calls_a_day=34,
        users=60,
        weekend_percent=180,
        growth_percent=8,
    ),
    Company(
        key="petra-ceramics",
        name="Petra Ceramics",
        plan="hobby",
        time_zone="Asia/Kathmandu",
        country="NP",
        city="Bhaktapur",
        calls_a_day=4,
        users=2,
        growth_percent=0,
    ),
]

ENDPOINTS: dict[str, tuple[str, int, int]] = {
    # name: (method, weight, typical bytes)
    "/v1/current": ("GET", 34, 900),
    "/v1/forecast/daily": ("GET", 24, 4200),
    "/v1/forecast/hourly": ("GET", 18, 11800),
    "/v1/alerts": ("GET", 8, 1500),
    "/v1/history/{date}": ("GET", 6, 7600),
    "/v1/tiles/{z}/{x}/{y}": ("GET", 7, 23000),
    "/v1/batch": ("POST", 3, 36000),
}
