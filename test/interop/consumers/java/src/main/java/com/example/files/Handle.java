package com.example.files;

import files.v1.DeliverFileEventRequest;
import java.util.Base64;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

final class Handle {
  /** The ids of the events that were delivered before. */
  private static final Set<String> SEEN = ConcurrentHashMap.newKeySet();

  /**
   * Prints each delivery in base64, since JSON would need one more library. Refuses the first delivery of an event of a
   * file that is named for that.
   */
  static void handle(DeliverFileEventRequest event) {
    System.out.println(Base64.getEncoder().encodeToString(event.toByteArray()));
    var isNew = SEEN.add(event.getEventId());
    if (isNew && event.getFile().getS3Key().contains("refuse-once")) throw new IllegalStateException("refused once");
  }
}
