"""Customers of any number, the same for the same number: 12 columns, one in five inactive."""

import csv
import random
from pathlib import Path

COLUMNS = [
    "CustomerNumber",
    "CompanyName",
    "ContactName",
    "Email",
    "Phone",
    "Street",
    "City",
    "State",
    "ZipCode",
    "CreditLimit",
    "CustomerSince",
    "Status",
]
CITIES = [("Portland", "ME", "04101"), ("Austin", "TX", "78701"), ("Boise", "ID", "83702"), ("Newark", "NJ", "07102")]
WORDS = [
    "Harbor",
    "Summit",
    "Cedar",
    "Granite",
    "Prairie",
    "Northern",
    "Maple",
    "Redwood",
    "Canyon",
    "Coastal",
    "Valley",
    "Pioneer",
    "Copper",
    "River",
]


def write_customers(path: Path, rows: int) -> None:
    """Write `rows` customers as CSV, about 124 bytes each."""
    chance = random.Random(20261123)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(rows):
            city, state, zip_code = CITIES[number % 4]
            name = f"{chance.choice(WORDS)} {chance.choice(WORDS)} {number % 977}"
            writer.writerow(
                [
                    f"C{number:08d}",
                    name,
                    f"Contact {number % 4999}",
                    f"buyer{number}@example.test",
                    f"(207) 555-{number % 10000:04d}",
                    f"{number % 9800} Main St",
                    city,
                    state,
                    zip_code,
                    f"{number * 37 % 90000}.00",
                    f"20{number % 24:02d}-{number % 12 + 1:02d}-{number % 28 + 1:02d}",
                    "Inactive" if number % 5 == 0 else "Active",
                ]
            )


TABLE = """CREATE TABLE customers (customer_number TEXT PRIMARY KEY, name TEXT, contact TEXT, email TEXT, phone TEXT,
street TEXT, city TEXT, state TEXT, zip TEXT, credit_limit TEXT, customer_since TEXT, credit_class TEXT)"""
TARGETS = [
    "customer_number",
    "name",
    "contact",
    "email",
    "phone",
    "street",
    "city",
    "state",
    "zip",
    "credit_limit",
    "customer_since",
]
