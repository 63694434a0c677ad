import io.delta.kernel.Scan;
import io.delta.kernel.Snapshot;
import io.delta.kernel.Table;
import io.delta.kernel.data.ColumnarBatch;
import io.delta.kernel.data.FilteredColumnarBatch;
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
        return row.getString(i);
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
