# Fatigue over time by visit, from `epro export csv --study S --out FOLDER`: Rscript examples/fatigue.R FOLDER
folder <- commandArgs(trailingOnly = TRUE)[1]
long <- read.csv(file.path(folder, "long.csv"), na.strings = "", encoding = "UTF-8", colClasses = c(SUBJID = "character"))
fatigue <- subset(long, QSTESTCD == "LUPQFA" & COUNTS == "Y" & !is.na(QSSTRESN) & !is.na(VISITNUM))
visits <- aggregate(QSSTRESN ~ VISITNUM + VISIT, fatigue, function(x) c(mean = mean(x), se = sd(x) / sqrt(length(x)), n = length(x)))
visits <- do.call(data.frame, visits[order(visits$VISITNUM), ])
print(visits, row.names = FALSE)
png(file.path(folder, "fatigue-r.png"), width = 900, height = 600, res = 120)
plot(seq_len(nrow(visits)), visits$QSSTRESN.mean, type = "b", pch = 19, ylim = c(0, 100), xaxt = "n", xlab = "Visit", ylab = "Fatigue score (0-100, higher is better)")
axis(1, seq_len(nrow(visits)), visits$VISIT)
se <- ifelse(is.na(visits$QSSTRESN.se), 0, visits$QSSTRESN.se)
segments(seq_len(nrow(visits)), visits$QSSTRESN.mean - se, seq_len(nrow(visits)), visits$QSSTRESN.mean + se)
invisible(dev.off())
