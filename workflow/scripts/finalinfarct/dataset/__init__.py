"""The BIDS contract: participants, images, tables; their check, their reading and their writing."""
