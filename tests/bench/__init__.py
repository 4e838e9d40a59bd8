"""What `make bench` measures: ratios between the product and a floor, taken in one run on one machine.

Absolute times do not travel; nothing here is asserted in a test.
"""
