"""greenserve for Django: an app whose command runserver serves with greenserve."""
