import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedWriter;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Date;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.json.JsonConverter;

/** Reads cases (one JSON object a line) and writes what Kafka Connect's JsonConverter makes of each. */
public class Golden {
    public static void main(String[] args) throws Exception {
        ObjectMapper mapper = new ObjectMapper();
        try (BufferedWriter out = Files.newBufferedWriter(Path.of(args[1]))) {
            for (String line : Files.readAllLines(Path.of(args[0]))) {
                JsonNode item = mapper.readTree(line);
                out.write(answer(item));
                out.write('\n');
            }
        }
    }

    static String answer(JsonNode item) {
        JsonConverter converter = new JsonConverter();
        Map<String, Object> options = new LinkedHashMap<>();
        item.get("options").fields().forEachRemaining(e -> options.put(e.getKey(), e.getValue().textValue()));
        converter.configure(options, item.get("key").booleanValue());
        try {
            Schema schema = item.get("schema").isNull() ? null : schema(item.get("schema"));
            Object value = schema == null ? tagged(item.get("value")) : value(schema, item.get("value"));
            byte[] bytes = converter.fromConnectData("topic", schema, value);
            return bytes == null ? "!null" : new String(bytes, java.nio.charset.StandardCharsets.UTF_8);
        } catch (org.apache.kafka.connect.errors.DataException e) {
            return "!DataException";
        }
    }

    static Schema schema(JsonNode node) {
        Schema.Type type = switch (node.get("type").textValue()) {
            case "float" -> Schema.Type.FLOAT32;
            case "double" -> Schema.Type.FLOAT64;
            default -> Schema.Type.valueOf(node.get("type").textValue().toUpperCase());
        };
        SchemaBuilder builder = switch (type) {
            case ARRAY -> SchemaBuilder.array(schema(node.get("items")));
            case MAP -> SchemaBuilder.map(schema(node.get("keys")), schema(node.get("items")));
            default -> SchemaBuilder.type(type);
        };
        if (node.get("optional").booleanValue()) builder.optional();
        if (node.has("name")) builder.name(node.get("name").textValue());
        if (node.has("version")) builder.version(node.get("version").intValue());
        if (node.has("doc")) builder.doc(node.get("doc").textValue());
        for (JsonNode pair : node.get("parameters")) {
            builder.parameter(pair.get(0).textValue(), pair.get(1).textValue());
        }
        for (JsonNode pair : node.get("fields")) {
            builder.field(pair.get(0).textValue(), schema(pair.get(1)));
        }
        if (node.has("default")) builder.defaultValue(value(builder, node.get("default")));
        return builder.build();
    }

    static Object value(Schema schema, JsonNode node) {
        if (node.isNull()) return null;
        if (schema.name() != null) {
            switch (schema.name()) {
                case "org.apache.kafka.connect.data.Decimal":
                    return new BigDecimal(new BigInteger(node.textValue()),
                            Integer.parseInt(schema.parameters().get("scale")));
                case "org.apache.kafka.connect.data.Date":
                    return new Date(node.longValue() * 86_400_000L);
                case "org.apache.kafka.connect.data.Time":
                case "org.apache.kafka.connect.data.Timestamp":
                    return new Date(node.longValue());
                default:
            }
        }
        switch (schema.type()) {
            case INT8: return (byte) node.intValue();
            case INT16: return (short) node.intValue();
            case INT32: return node.intValue();
            case INT64: return node.longValue();
            case FLOAT32: return (float) Double.longBitsToDouble(Long.parseLong(node.textValue()));
            case FLOAT64: return Double.longBitsToDouble(Long.parseLong(node.textValue()));
            case BOOLEAN: return node.booleanValue();
            case STRING: return node.textValue();
            case BYTES: return HexFormat.of().parseHex(node.textValue());
            case ARRAY: {
                List<Object> list = new ArrayList<>();
                for (JsonNode item : node) list.add(value(schema.valueSchema(), item));
                return list;
            }
            case MAP: {
                Map<Object, Object> map = new LinkedHashMap<>();
                for (JsonNode pair : node) {
                    map.put(value(schema.keySchema(), pair.get(0)), value(schema.valueSchema(), pair.get(1)));
                }
                return map;
            }
            default: {
                Struct struct = new Struct(schema.schema());
                int place = 0;
                for (Field field : schema.fields()) struct.put(field, value(field.schema(), node.get(place++)));
                return struct;
            }
        }
    }

    /** A value without schema: {"l": "1"}, {"d": "bits"}, {"s": ""}, {"x": "hex"}, {"a": []}, {"m": [[k, v]]}. */
    static Object tagged(JsonNode node) {
        if (node.isNull()) return null;
        if (node.isBoolean()) return node.booleanValue();
        String tag = node.fieldNames().next();
        JsonNode inner = node.get(tag);
        switch (tag) {
            case "l": return Long.parseLong(inner.textValue());
            case "d": return Double.longBitsToDouble(Long.parseLong(inner.textValue()));
            case "s": return inner.textValue();
            case "x": return HexFormat.of().parseHex(inner.textValue());
            case "a": {
                List<Object> list = new ArrayList<>();
                for (JsonNode item : inner) list.add(tagged(item));
                return list;
            }
            default: {
                Map<Object, Object> map = new LinkedHashMap<>();
                for (JsonNode pair : inner) map.put(tagged(pair.get(0)), tagged(pair.get(1)));
                return map;
            }
        }
    }
}
