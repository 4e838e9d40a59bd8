-- The database of the Demo company: a small CRM that refuses what a real one would refuse.
CREATE TABLE IF NOT EXISTS customers (
    customer_number TEXT PRIMARY KEY,
    name            TEXT NOT NULL CHECK (trim(name) <> ''),
    contact         TEXT,
    email           TEXT CONSTRAINT email_has_an_at_sign CHECK (email LIKE '%_@_%'),
    phone           TEXT,
    street          TEXT,
    city            TEXT,
    state           TEXT CONSTRAINT state_is_a_us_state CHECK (state IN (
        'AL','AK','AZ','AR','CA','CO','CT','DE','DC','FL','GA','HI','ID','IL','IN','IA','KS','KY','LA','ME','MD','MA',
        'MI','MN','MS','MO','MT','NE','NV','NH','NJ','NM','NY','NC','ND','OH','OK','OR','PA','PR','RI','SC','SD','TN',
        'TX','UT','VT','VA','WA','WV','WI','WY')),
    zip             TEXT,
    credit_limit    NUMERIC,
    credit_class    TEXT CHECK (credit_class IN ('A', 'B', 'C')),
    customer_since  DATE,
    source          TEXT
);

CREATE TABLE IF NOT EXISTS orders (
    order_number    TEXT PRIMARY KEY,
    customer_number TEXT NOT NULL,
    order_date      DATE NOT NULL,
    currency        TEXT CONSTRAINT currency_is_three_letters CHECK (length(currency) = 3),
    priority        TEXT,
    total           NUMERIC NOT NULL
);

CREATE TABLE IF NOT EXISTS order_items (
    order_number    TEXT NOT NULL,
    line_number     INTEGER NOT NULL,
    sku             TEXT NOT NULL,
    description     TEXT,
    quantity        INTEGER NOT NULL CHECK (quantity > 0),
    unit_price      NUMERIC NOT NULL,
    PRIMARY KEY (order_number, line_number)
);

-- The web shop, as another system would see it: its customers, and whether the CRM has them.
CREATE TABLE IF NOT EXISTS web_shop_customers (
    company_name    TEXT PRIMARY KEY,
    customer_number TEXT NOT NULL,
    email           TEXT,
    state           TEXT,
    in_crm          TEXT NOT NULL DEFAULT 'no' CHECK (in_crm IN ('yes', 'no'))
);

INSERT OR IGNORE INTO web_shop_customers (company_name, customer_number, email, state) VALUES
    ('Alder & Sons', 'W20001', 'office@alder.example', 'OR'),
    ('Bluebird Cycles', 'W20002', 'hello@bluebird.example', 'Ore.'),
    ('Copper Kettle', 'W20003', 'shop@copperkettle.example', 'WA');
