"""What is kept between the forward and the reverse sweep, and its price."""
