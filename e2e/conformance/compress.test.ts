import { runConformance } from './runner.ts';

runConformance('compress');
