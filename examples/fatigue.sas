/* Fatigue over time by visit, from `epro export csv --study S --out FOLDER`. Set the folder and run. */
%let folder = /data/export;
proc import datafile="&folder/long.csv" out=work.long dbms=csv replace; guessingrows=max; run;
proc means data=work.long noprint nway;
  where QSTESTCD = 'LUPQFA' and COUNTS = 'Y' and not missing(VISITNUM);
  class VISITNUM VISIT; var QSSTRESN;
  output out=work.visits n=n mean=mean stderr=se;
run;
data work.visits; set work.visits; low = mean - coalesce(se, 0); high = mean + coalesce(se, 0); run;
proc sgplot data=work.visits noautolegend;
  scatter x=VISIT y=mean / yerrorlower=low yerrorupper=high; series x=VISIT y=mean;
  xaxis label='Visit'; yaxis min=0 max=100 label='LupusQoL fatigue (0-100, higher is better), mean and SE';
run;
