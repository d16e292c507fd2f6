from google.protobuf import json_format

seen = set()  # The ids of the events that were delivered before.


def handle(event):
    """Prints each delivery. Refuses the first delivery of an event of a file that is named for that."""
    print(json_format.MessageToJson(event, indent=None), flush=True)
    is_again = event.event_id in seen
    seen.add(event.event_id)
    if not is_again and "refuse-once" in event.file.s3_key:
        raise RuntimeError("refused once")
