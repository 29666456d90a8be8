import { runConformance } from './runner.ts';

runConformance('plain');
