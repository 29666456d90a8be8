import { runConformance } from './runner.ts';

runConformance('rev2');
