// A shop as small as its batch jobs allow: PostgreSQL, files on this disk, and no Redis.
const { ADDRESS, DATABASE } = process.env

module.exports = {
  projectConfig: { database_url: DATABASE, jwt_secret: "for tests", cookie_secret: "for tests" },
  plugins: [{ resolve: "@medusajs/file-local", options: { upload_dir: "uploads", backend_url: ADDRESS } }],
  modules: {
    cacheService: { resolve: "@medusajs/cache-inmemory" },
    eventBus: { resolve: "@medusajs/event-bus-local" },
  },
}
