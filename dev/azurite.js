// Loaded into Azurite before it starts, for speed alone: what it answers is the same. Azurite's database keeps sorted
// lists of the keys of each table, which it goes through from the beginning with every change, and finds a record
// among all those of its partition. Here it finds a record by both keys at once, in a map. And a query of one
// partition interprets its filter for each record of the table: here only for those of the partition.
"use strict";
const { realpathSync } = require("node:fs");

const azurite = { paths: [realpathSync(process.argv[1])] };
const loki = require(require.resolve("lokijs", azurite));
const { addCollection } = loki.prototype;
const { insertOne, remove } = loki.Collection.prototype;

const keysOf = (record) => JSON.stringify([record.PartitionKey, record.RowKey]);

loki.prototype.addCollection = function (name, options) {
  if (!options?.indices?.includes("RowKey")) return addCollection.call(this, name, options);
  const table = addCollection.call(this, name, { ...options, indices: [] });
  const ids = new Map();
  table.insertOne = function (record, ...others) {
    const inserted = insertOne.call(this, record, ...others);
    ids.set(keysOf(inserted), inserted.$loki);
    return inserted;
  };
  table.remove = function (record) {
    ids.delete(keysOf(record));
    return remove.call(this, record);
  };
  table.findOne = function (keys) {
    const id = ids.get(keysOf(keys));
    return id === undefined ? null : this.get(id);
  };
  return table;
};

const queries = require(
  require.resolve("azurite/dist/src/table/persistence/LokiTableStoreQueryGenerator", azurite),
).default;
const { generateQueryForPersistenceLayer } = queries;
const ONE_PARTITION = /^PartitionKey eq '([^']*)'(?: and (.*))?$/s;

queries.generateQueryForPersistenceLayer = function (options, context) {
  const matches = generateQueryForPersistenceLayer.call(this, options, context);
  const [, partition, others] = ONE_PARTITION.exec(options.filter ?? "") ?? [];
  if (partition === undefined || /\b(or|not)\b/i.test(others ?? "")) return matches;
  return (record) => record.PartitionKey === partition && matches(record);
};
