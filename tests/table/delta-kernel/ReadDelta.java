import io.delta.kernel.Scan;
import io.delta.kernel.Snapshot;
import io.delta.kernel.Table;
import io.delta.kernel.data.ArrayValue;
import io.delta.kernel.data.ColumnVector;
import io.delta.kernel.data.ColumnarBatch;
import io.delta.kernel.data.FilteredColumnarBatch;
import io.delta.kernel.data.MapValue;
import io.delta.kernel.data.Row;
import io.delta.kernel.defaults.engine.DefaultEngine;
import io.delta.kernel.engine.Engine;
import io.delta.kernel.internal.InternalScanFileUtils;
import io.delta.kernel.internal.data.ScanStateRow;
import io.delta.kernel.internal.util.Utils;
import io.delta.kernel.types.*;
import io.delta.kernel.utils.CloseableIterator;
import io.delta.kernel.utils.FileStatus;
import java.util.Base64;
import java.util.Optional;
import java.util.StringJoiner;
import org.apache.hadoop.conf.Configuration;

/** Prints a table's rows: values parted by tabs, \N for NULL; before them the version. */
public class ReadDelta {
    static String value(Row row, int i, DataType type) {
        if (row.isNullAt(i)) return "\\N";
        if (type instanceof BooleanType) return "" + row.getBoolean(i);
        if (type instanceof ShortType) return "" + row.getShort(i);
        if (type instanceof IntegerType || type instanceof DateType) return "" + row.getInt(i);
        if (type instanceof LongType || type instanceof TimestampType) return "" + row.getLong(i);
        if (type instanceof FloatType) return "" + row.getFloat(i);
        if (type instanceof DoubleType) return "" + row.getDouble(i);
        if (type instanceof DecimalType) return row.getDecimal(i).toPlainString();
        if (type instanceof BinaryType) return Base64.getEncoder().encodeToString(row.getBinary(i));
        if (type instanceof ArrayType) return list(row.getArray(i), (ArrayType) type);
        if (type instanceof MapType) return map(row.getMap(i), (MapType) type);
        if (type instanceof StructType) {
            StructType struct = (StructType) type;
            Row inner = row.getStruct(i);
            StringJoiner text = new StringJoiner(",", "{", "}");
            for (int k = 0; k < struct.length(); k++) text.add(value(inner, k, struct.at(k).getDataType()));
            return text.toString();
        }
        return row.getString(i);
    }

    static String list(ArrayValue value, ArrayType type) {
        StringJoiner text = new StringJoiner(",", "[", "]");
        for (int k = 0; k < value.getSize(); k++) text.add(value(value.getElements(), k, type.getElementType()));
        return text.toString();
    }

    static String map(MapValue value, MapType type) {
        StringJoiner text = new StringJoiner(",", "<", ">");
        for (int k = 0; k < value.getSize(); k++) {
            text.add(value(value.getKeys(), k, type.getKeyType()) + ":" + value(value.getValues(), k, type.getValueType()));
        }
        return text.toString();
    }

    /** What lies in lists and maps comes as vectors: numbers, texts, and these types once more. */
    static String value(ColumnVector vector, int at, DataType type) {
        if (vector.isNullAt(at)) return "\\N";
        if (type instanceof LongType) return "" + vector.getLong(at);
        if (type instanceof DoubleType) return "" + vector.getDouble(at);
        if (type instanceof DateType) return "" + vector.getInt(at);
        if (type instanceof ArrayType) return list(vector.getArray(at), (ArrayType) type);
        if (type instanceof MapType) return map(vector.getMap(at), (MapType) type);
        if (type instanceof StructType) {
            StructType struct = (StructType) type;
            StringJoiner text = new StringJoiner(",", "{", "}");
            for (int k = 0; k < struct.length(); k++) text.add(value(vector.getChild(k), at, struct.at(k).getDataType()));
            return text.toString();
        }
        return vector.getString(at);
    }

    public static void main(String[] arguments) throws Exception {
        Engine engine = DefaultEngine.create(new Configuration());
        Snapshot snapshot = Table.forPath(engine, arguments[0]).getLatestSnapshot(engine);
        System.out.println(snapshot.getVersion(engine));
        StructType schema = snapshot.getSchema(engine);
        Scan scan = snapshot.getScanBuilder(engine).build();
        Row state = scan.getScanState(engine);
        StructType physical = ScanStateRow.getPhysicalDataReadSchema(engine, state);
        try (CloseableIterator<FilteredColumnarBatch> batches = scan.getScanFiles(engine)) {
            while (batches.hasNext()) {
                try (CloseableIterator<Row> files = batches.next().getRows()) {
                    while (files.hasNext()) {
                        print(engine, state, physical, schema, files.next());
                    }
                }
            }
        }
    }

    static void print(Engine engine, Row state, StructType physical, StructType schema, Row file)
            throws Exception {
        FileStatus status = InternalScanFileUtils.getAddFileStatus(file);
        CloseableIterator<ColumnarBatch> data = engine.getParquetHandler().readParquetFiles(
                Utils.singletonCloseableIterator(status), physical, Optional.empty());
        try (CloseableIterator<FilteredColumnarBatch> batches =
                Scan.transformPhysicalData(engine, state, file, data)) {
            while (batches.hasNext()) {
                try (CloseableIterator<Row> rows = batches.next().getRows()) {
                    while (rows.hasNext()) {
                        Row row = rows.next();
                        StringBuilder line = new StringBuilder();
                        for (int i = 0; i < schema.length(); i++) {
                            line.append(i == 0 ? "" : "\t").append(value(row, i, schema.at(i).getDataType()));
                        }
                        System.out.println(line);
                    }
                }
            }
        }
    }
}
