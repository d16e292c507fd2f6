package com.example.files;

import files.v1.DeliverFileEventRequest;
import java.util.HexFormat;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

final class Handle {
  /** The ids of the events that were delivered before. */
  private static final Set<String> SEEN = ConcurrentHashMap.newKeySet();

  /**
   * Prints the bytes of each delivery, since JSON would need one more library. Refuses the first delivery of an event of
   * a file that is named for that.
   */
  static void handle(DeliverFileEventRequest event) {
    System.out.println(HexFormat.of().formatHex(event.toByteArray()));
    var isNew = SEEN.add(event.getEventId());
    if (isNew && event.getFile().getS3Key().contains("refuse-once")) throw new IllegalStateException("refused once");
  }
}
