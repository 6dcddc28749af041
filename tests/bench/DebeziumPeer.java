// Debezium's engine as a peer of the benchmark: drains a slot and prints what it measured as JSON.
// Usage: java -cp "LIBS/*" DebeziumPeer.java EVENTS key=value ...
// With EVENTS = 0 it runs until its input ends and prints one latency (ms) per event instead, from
// the field "sent_us" of each value to the moment the engine hands the event over.

import com.sun.management.OperatingSystemMXBean;
import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.format.Json;
import io.debezium.engine.format.KeyValueHeaderChangeEventFormat;
import java.lang.management.ManagementFactory;
import java.time.Instant;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;

public class DebeziumPeer {
    static long cpu() {
        return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    static long sentMicros(String value) {
        int at = value.indexOf("\"sent_us\":");
        if (at < 0) return -1;
        int from = at + 10, to = from;
        while (to < value.length() && Character.isDigit(value.charAt(to))) to++;
        return to == from ? -1 : Long.parseLong(value.substring(from, to));
    }

    public static void main(String[] arguments) throws Exception {
        long target = Long.parseLong(arguments[0]);
        Properties properties = new Properties();
        for (String argument : arguments) {
            int equals = argument.indexOf('=');
            if (equals > 0) properties.setProperty(argument.substring(0, equals), argument.substring(equals + 1));
        }
        AtomicLong count = new AtomicLong(), firstAt = new AtomicLong(), firstCpu = new AtomicLong();
        AtomicLong firstCount = new AtomicLong();
        CountDownLatch done = new CountDownLatch(1);
        StringBuilder latencies = new StringBuilder();
        long[] window = {0, 0}; // start of the window, events at its start
        double[] best = {0};
        var engine = DebeziumEngine.create(
                KeyValueHeaderChangeEventFormat.of(Json.class, Json.class, Json.class),
                "io.debezium.embedded.async.ConvertingAsyncEngineBuilderFactory")
            .using(properties)
            .notifying((records, committer) -> {
                Instant instant = Instant.now();
                long wall = instant.getEpochSecond() * 1_000_000L + instant.getNano() / 1000;
                long now = System.nanoTime();
                for (Object each : records) {
                    @SuppressWarnings("unchecked")
                    ChangeEvent<String, String> event = (ChangeEvent<String, String>) each;
                    if (target == 0 && event.value() != null) {
                        long sent = sentMicros(event.value());
                        if (sent > 0) synchronized (latencies) { latencies.append((wall - sent) / 1000.0).append('\n'); }
                    }
                }
                for (var event : records) committer.markProcessed(event);
                committer.markBatchFinished();
                long total = count.addAndGet(records.size());
                if (firstAt.compareAndSet(0, now)) {
                    firstCpu.set(cpu());
                    firstCount.set(total);
                    window[0] = now;
                    window[1] = total;
                    System.out.println("{\"first\": true}");
                }
                if (now - window[0] >= 3_000_000_000L) {
                    best[0] = Math.max(best[0], (total - window[1]) * 1e9 / (now - window[0]));
                    window[0] = now;
                    window[1] = total;
                }
                if (target > 0 && total >= target) done.countDown();
            })
            .build();
        Thread thread = new Thread(engine);
        thread.setDaemon(true);
        thread.start();
        if (target == 0) {
            while (System.in.read() >= 0) { }
            System.out.print(latencies);
        } else {
            done.await();
            double seconds = (System.nanoTime() - firstAt.get()) / 1e9;
            long events = count.get() - firstCount.get();
            System.out.printf("{\"events\": %d, \"seconds\": %.3f, \"cpu_seconds\": %.3f, \"best_window\": %.0f}%n",
                events, seconds, (cpu() - firstCpu.get()) / 1e9, best[0]);
        }
        System.out.flush();
        engine.close();
        System.exit(0);
    }
}
