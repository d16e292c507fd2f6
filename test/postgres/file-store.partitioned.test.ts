import type pg from 'pg';
import { eventsContract } from './file-events.ts';
import { fileStoreContract } from './file-store.ts';
import { batchContract } from './file-store-batch.ts';
import { multipartContract } from './file-store-multipart.ts';
import { openStore } from './open-store.ts';

const PARTITIONS = 5;

/**
 * Rebuilds the migrated table as a partitioned one. `like … including all` copies it, so that the two cannot
 * differ, and names the index that the service looks for (`makeHashedDue` in src/postgres/statements/sweeps.ts).
 */
async function partition(pool: pg.Pool): Promise<void> {
  await pool.query(`
    alter table files rename to files_plain;
    create table files (like files_plain including all) partition by hash (user_id);
    drop table files_plain;
    alter index files_s3_key_idx rename to files_pending_hashed`);
  for (let i = 0; i < PARTITIONS; i++) {
    await pool.query(
      `create table files_${i} partition of files for values with (modulus ${PARTITIONS}, remainder ${i})`,
    );
  }
}

for (const contract of [fileStoreContract, multipartContract, batchContract, eventsContract]) {
  contract('the store on a table partitioned by user', (limits) => openStore(limits, { arrange: partition }));
}
