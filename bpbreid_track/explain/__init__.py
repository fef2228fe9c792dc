"""Why a box has its identity: reasons, recorded, written, read and put into words."""
