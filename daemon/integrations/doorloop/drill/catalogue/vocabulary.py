"""Words the drill's records are made of; every person, company and address is invented."""

from __future__ import annotations

FIRST_NAMES = (
    *("James", "Mary", "Robert", "Patricia", "John", "Jennifer", "Michael", "Linda", "David", "Elizabeth", "William"),
    *("Barbara", "Richard", "Susan", "Joseph", "Jessica", "Thomas", "Karen", "Carlos", "Sarah", "Priya", "Daniel"),
    *("Nancy", "José", "Aisha", "Matthew", "Zoë", "Anthony", "Mei", "Mark", "Ngozi", "Donald", "Siobhán", "Steven"),
    *("Guadalupe", "Paul", "Anaïs", "Andrew", "Renée", "Joshua", "Fatima", "Kenneth", "Hye-jin", "Kevin", "Brian"),
)
MIDDLE_NAMES = ("A.", "Lee", "Marie", "J.", "Ann", "Ray", "Lynn", "B.", "Grace", "Luis")
LAST_NAMES = (
    *("Smith", "Johnson", "Williams", "Brown", "Jones", "García", "Miller", "Davis", "Rodríguez", "Martinez", "Lopez"),
    *("Hernandez", "Gonzalez", "Wilson", "Anderson", "Thomas", "Taylor", "Moore", "Jackson", "Martin", "Lee", "Pérez"),
    *("Thompson", "White", "Harris", "Sanchez", "Clark", "Ramirez", "Lewis", "Robinson", "Walker", "Young", "Allen"),
    *("King", "Wright", "Scott", "Torres", "Nguyen", "Hill", "Flores", "Green", "Adams", "Nelson", "O'Brien", "Okafor"),
)
COMPANY_STEMS = (
    *("Harbor View", "Cedar Ridge", "Blue Heron", "Stonebridge", "Maple Street", "Summit", "Old Mill", "Lakeshore"),
    *("Red Oak", "Prairie", "Beacon", "Juniper", "Copper Canyon", "Riverbend", "Golden Gate", "Foxglove"),
)
COMPANY_FORMS = ("Holdings LLC", "Properties LLC", "Realty Inc.", "Capital LP", "Family Trust", "Partners & Co.")
JOB_TITLES = (
    "Nurse",
    "Teacher",
    "Electrician",
    "Accountant",
    "Chef",
    "Software engineer",
    "Paralegal",
    "Driver",
    "Owner",
)
STREETS = (
    *(
        "Main St",
        "Oak Ave",
        "Maple Dr",
        "Cedar Ln",
        "Washington Blvd",
        "Lake View Rd",
        "Park Pl",
        "Elm St",
        "Sunset Ter",
    ),
    *("Hillcrest Ave", "Jefferson St", "River Rd", "Church St", "Magnolia Ct", "Pine St", "Franklin Ave", "2nd St"),
)
CITIES = (
    ("Austin", "TX", "787", 30.2672, -97.7431),
    ("Denver", "CO", "802", 39.7392, -104.9903),
    ("Columbus", "OH", "432", 39.9612, -82.9988),
    ("Tampa", "FL", "336", 27.9506, -82.4572),
    ("Portland", "OR", "972", 45.5152, -122.6784),
    ("Raleigh", "NC", "276", 35.7796, -78.6382),
    ("Tucson", "AZ", "857", 32.2226, -110.9747),
    ("Omaha", "NE", "681", 41.2565, -95.9345),
    ("Albany", "NY", "122", 42.6526, -73.7562),
    ("Fresno", "CA", "937", 36.7378, -119.7871),
    ("Boise", "ID", "837", 43.6150, -116.2023),
    ("Louisville", "KY", "402", 38.2527, -85.7585),
)
TIMEZONES = ("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Phoenix")
EMAIL_HOSTS = ("example.com", "example.org", "example.net", "mail.example.com")
PHONE_TYPES = ("Mobile", "Home", "Work", "Fax", "Other")
GENDERS = ("MALE", "FEMALE", "PREFER_NOT_TO_SAY")
NOTES = (
    "Prefers e-mail over phone calls.",
    "Has asked for statements on the first business day of the month.",
    "Gate code changed in spring; ask the office before a visit.",
    "Pays by check; deposits are made on Fridays.",
    "Speaks Spanish and English. Call after 5 pm.",
    "Referred by a neighbour – moved here from out of state.",
)
PROPERTY_TYPES = (
    ("SINGLE_FAMILY_HOME", "Single family home", "RESIDENTIAL"),
    ("MULTI_FAMILY", "Multi family", "RESIDENTIAL"),
    ("CONDO", "Condo / town home", "RESIDENTIAL"),
    ("APARTMENT", "Apartment building", "RESIDENTIAL"),
    ("OFFICE", "Office", "COMMERCIAL"),
    ("SHOPPING_CENTER", "Shopping center", "COMMERCIAL"),
    ("STORAGE", "Storage", "COMMERCIAL"),
)
PROPERTY_NAMES = ("Court", "Heights", "Commons", "Place", "Terrace", "Lofts", "Gardens", "Plaza", "Square", "Point")
AMENITIES = (
    "POOL",
    "GYM",
    "LAUNDRY",
    "PARKING",
    "ELEVATOR",
    "DOORMAN",
    "STORAGE",
    "BIKE_ROOM",
    "ROOF_DECK",
    "EV_CHARGING",
)
UNIT_AMENITIES = (
    "DISHWASHER",
    "BALCONY",
    "WASHER_DRYER",
    "FIREPLACE",
    "AIR_CONDITIONING",
    "HARDWOOD_FLOORS",
    "WALK_IN_CLOSET",
)
UNIT_TEXTS = (
    "Bright corner unit with morning light.",
    "Renovated kitchen, new appliances, quiet side of the building.",
    "Ground floor, step-free entrance, small patio.",
    "Top floor with a view over the park; no elevator.",
)
PETS = ("Dog", "Cat", "Bird", "Rabbit")
CAR_MAKES = ("Toyota", "Ford", "Honda", "Chevrolet", "Subaru", "Nissan")
RELATIONS = ("Mother", "Brother", "Friend", "Spouse", "Sister")
