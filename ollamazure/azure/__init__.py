"""What operators check and prepare on Azure, through the Azure CLI."""
