import com.fasterxml.jackson.databind.ObjectMapper;
import io.debezium.transforms.ExtractNewRecordState;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.storage.SimpleHeaderConverter;

/** What Debezium's ExtractNewRecordState makes of six records, under each configuration (a JSON object a line). */
public class Unwrap {
    static final Schema ROW = SchemaBuilder.struct().name("s.t.Value").optional()
            .field("id", Schema.INT32_SCHEMA)
            .field("name", Schema.OPTIONAL_STRING_SCHEMA)
            .field("city", SchemaBuilder.string().optional().defaultValue("Ulm").build()).build();
    static final Schema SOURCE = SchemaBuilder.struct().name("Source")
            .field("table", Schema.STRING_SCHEMA)
            .field("lsn", Schema.OPTIONAL_INT64_SCHEMA)
            .field("snapshot", SchemaBuilder.string().optional().defaultValue("false").build()).build();
    static final Schema TRANSACTION = SchemaBuilder.struct().name("event.block").version(1).optional()
            .field("id", Schema.STRING_SCHEMA).build();
    static final Schema ENVELOPE = SchemaBuilder.struct().name("s.t.Envelope").version(2)
            .field("before", ROW).field("after", ROW).field("source", SOURCE)
            .field("transaction", TRANSACTION).field("op", Schema.STRING_SCHEMA)
            .field("ts_ms", Schema.OPTIONAL_INT64_SCHEMA).build();

    public static void main(String[] args) throws Exception {
        ObjectMapper mapper = new ObjectMapper();
        List<String> out = new ArrayList<>();
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            Map<String, String> options = new LinkedHashMap<>();
            mapper.readTree(line).fields().forEachRemaining(e -> options.put(e.getKey(), e.getValue().textValue()));
            ExtractNewRecordState<SourceRecord> transform = new ExtractNewRecordState<>();
            transform.configure(options);
            out.add("# " + line);
            for (SourceRecord record : records()) {
                SourceRecord made = transform.apply(record);
                if (made != null) out.add(shown(made));
            }
        }
        Files.writeString(Path.of(args[1]), String.join("\n", out) + "\n");
    }

    static List<SourceRecord> records() {
        Struct a = row(1, "a", "x");
        Struct b = row(2, "b", null);
        return List.of(
                event("c", null, a, 0), event("u", a, b, 1), event("d", b, null, 2),
                new SourceRecord(null, null, "s.t", null, null, null, null, null, 0L),
                event("t", null, null, 4), event("c", null, row(4, " ", "y"), 5));
    }

    static Struct row(int id, String name, String city) {
        return new Struct(ROW).put("id", id).put("name", name).put("city", city);
    }

    static SourceRecord event(String operation, Struct before, Struct after, int place) {
        Struct source = new Struct(SOURCE).put("table", "t").put("lsn", 100L + place);
        Struct value = new Struct(ENVELOPE).put("before", before).put("after", after)
                .put("source", source).put("op", operation).put("ts_ms", 9L);
        return new SourceRecord(null, null, "s.t", null, null, null, ENVELOPE, value, 0L);
    }

    static String shown(SourceRecord record) {
        JsonConverter json = new JsonConverter();
        json.configure(Map.of("schemas.enable", "true", "replace.null.with.default", "false"), false);
        byte[] value = record.value() == null ? null : json.fromConnectData("t", record.valueSchema(), record.value());
        StringBuilder text = new StringBuilder(record.topic()).append(' ').append(text(value));
        SimpleHeaderConverter headers = new SimpleHeaderConverter();
        for (Header header : record.headers()) {
            byte[] bytes = headers.fromConnectHeader("t", header.key(), header.schema(), header.value());
            text.append(' ').append(header.key()).append('=').append(text(bytes));
        }
        return text.toString();
    }

    static String text(byte[] bytes) {
        return bytes == null ? "null" : new String(bytes, StandardCharsets.UTF_8);
    }
}
