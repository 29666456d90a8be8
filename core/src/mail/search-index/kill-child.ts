/** For the test beside it: a server that indexes one account of a store folder, and says when a segment has been stored; killed there. */
import { setTimeout as delay } from 'node:timers/promises';
import { openHouse } from './kill.fixture.ts';

const [, , folder = '', messages = '0'] = process.argv;
const house = await openHouse(folder);
await house.append(Number(messages));
const put = house.store.derived.put.bind(house.store.derived);
house.store.derived.put = async (...args) => {
  await put(...args);
  process.stdout.write('stored\n');
  await delay(Number(process.argv[4] ?? 0));
};
await house.update();
process.stdout.write('done\n');
setInterval(() => {}, 1_000);
