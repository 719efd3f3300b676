// Medusa's migrations, as `medusa migrations run` has them.
const { DataSource } = require("typeorm")
const migrate = require("@medusajs/medusa/dist/commands/migrate").default

// one of them goes on without pg_trgm after PostgreSQL refused it, which one transaction around all does not allow
const { runMigrations } = DataSource.prototype
DataSource.prototype.runMigrations = function () {
  return runMigrations.call(this, { transaction: "none" })
}

process.argv = [process.argv[0], "medusa", "migrations", "run"]
migrate({ directory: __dirname })
