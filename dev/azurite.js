// Loaded into Azurite before it starts, for speed alone: what it answers is the same. Azurite's database keeps sorted
// lists of the keys of each table, which it goes through with every change, and looks for records among all those of
// the table. Here a table in memory is a map of its partitions, each a map of its rows, and a query of one partition
// looks at that one only. A table that is kept on the disk stays as it is.
"use strict";
const { realpathSync } = require("node:fs");

const azurite = { paths: [realpathSync(process.argv[1])] };
const ONE_PARTITION = /^PartitionKey eq '([^']*)'(?: and (.*))?$/s;

/** What Azurite uses of a collection of its database. */
class Table {
  partitions = new Map();

  constructor(name) {
    this.name = name;
  }

  findOne({ PartitionKey, RowKey }) {
    return this.partitions.get(PartitionKey)?.get(RowKey) ?? null;
  }

  insert(record) {
    const { PartitionKey, RowKey } = record;
    if (!this.partitions.has(PartitionKey)) this.partitions.set(PartitionKey, new Map());
    this.partitions.get(PartitionKey).set(RowKey, record);
    return record;
  }

  update(record) {
    return this.insert(record);
  }

  remove({ PartitionKey, RowKey }) {
    this.partitions.get(PartitionKey)?.delete(RowKey);
  }

  chain() {
    return new Query(this);
  }
}

class Query {
  constructor(table) {
    this.table = table;
  }

  where(matches) {
    this.records = (this.records ?? this.all(matches.partition)).filter(matches);
    return this;
  }

  sort(compare) {
    this.records.sort(compare);
    return this;
  }

  limit(count) {
    this.records = this.records.slice(0, count);
    return this;
  }

  data() {
    return this.records;
  }

  all(partition) {
    const { partitions } = this.table;
    const wanted = partition === undefined ? [...partitions.values()] : [partitions.get(partition) ?? new Map()];
    return wanted.flatMap((rows) => [...rows.values()]);
  }
}

if (process.argv.includes("--inMemoryPersistence")) {
  const loki = require(require.resolve("lokijs", azurite));
  const { addCollection } = loki.prototype;
  loki.prototype.addCollection = function (name, options) {
    if (!options?.indices?.includes("RowKey")) return addCollection.call(this, name, options);
    const table = new Table(name);
    this.collections.push(table);
    return table;
  };

  const queries = require(
    require.resolve("azurite/dist/src/table/persistence/LokiTableStoreQueryGenerator", azurite),
  ).default;
  const { generateQueryForPersistenceLayer } = queries;
  queries.generateQueryForPersistenceLayer = function (options, context) {
    const matches = generateQueryForPersistenceLayer.call(this, options, context);
    const [, partition, others] = ONE_PARTITION.exec(options.filter ?? "") ?? [];
    if (partition !== undefined && !/\b(or|not)\b/i.test(others ?? "")) matches.partition = partition;
    return matches;
  };
}
