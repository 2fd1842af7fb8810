import { connect } from "readywire";
import { answerPage } from "./scenario.js";

answerPage(connect);
