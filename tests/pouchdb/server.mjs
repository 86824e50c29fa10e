// PouchDB Server's own Express application, by the config.json of the directory where it is started: PORT.
import express from "express";
import serve from "express-pouchdb";
import memory from "pouchdb-adapter-memory";
import PouchDB from "pouchdb-core";
import mapreduce from "pouchdb-mapreduce";
import replication from "pouchdb-replication";

const inMemory = PouchDB.plugin(memory).plugin(mapreduce).plugin(replication).defaults({ adapter: "memory" });
const application = express();
application.use("/", serve(inMemory, { configPath: "config.json", mode: "fullCouchDB" }));
application.listen(Number(process.argv[2]), "127.0.0.1");
