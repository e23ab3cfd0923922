"""What operators prepare and query on Azure, through the Azure CLI."""
